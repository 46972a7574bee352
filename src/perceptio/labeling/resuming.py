"""Finished shards that are not what the same command would make now."""

from __future__ import annotations

from typing import Any

from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.reports import BadPicture, read_report
from perceptio.labeling.work import Work


def is_up_to_date(work: Work[Any, Any], shard: int) -> bool:
    """Whether a shard is finished, with the prompts that its pictures have now.

    Raises:
        DataError: if its report is damaged.
    """
    return work.finished(shard) and read_report(work.files_of(shard)).prompts == work.prompts_hash(shard)


def reopen(work: Work[Any, Any], shard: int) -> bool:
    """Remove a finished shard that must be made anew, and say whether it was one.

    It must if prompts of its pictures have changed, if a picture that could not be labelled may be labelled now, or if
    its file is damaged.
    """
    stays = work.is_whole(shard) and is_up_to_date(work, shard)
    if stays:
        bad = {each.key: each for each in read_report(work.files_of(shard)).bad}
        stays = not any(
            _is_mended(work, picture, bad[picture.key]) for picture in work.pictures_of(shard) if picture.key in bad
        )
    if not stays:
        work.files_of(shard).results.unlink(missing_ok=True)
        work.files_of(shard).report.unlink(missing_ok=True)
    return not stays


def _is_mended(work: Work[Any, Any], picture: PictureFile, bad: BadPicture) -> bool:
    try:
        work.read(picture)
        return bad.content is None or bad.content != picture.digest()
    except ValueError:
        return False
