"""Finished shards that are not what the same command would make now."""

from __future__ import annotations

from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.shards import BadPicture, is_whole, read_report, report_file, shard_file
from perceptio.labeling.work import LabelWork


def is_up_to_date(work: LabelWork, shard: int) -> bool:
    """Whether a shard is finished, with the prompts that its pictures have now.

    Raises:
        DataError: if its report is damaged.
    """
    return work.finished(shard) and read_report(work.folder, shard).prompts == work.prompts_hash(shard)


def reopen(work: LabelWork, shard: int) -> bool:
    """Remove a finished shard that must be made anew, and say whether it was one.

    It must if prompts of its pictures have changed, if a picture that could not be labelled may be labelled now, or if
    its file is damaged.
    """
    stays = is_whole(work.folder, shard) and is_up_to_date(work, shard)
    if stays:
        bad = {each.key: each for each in read_report(work.folder, shard).bad}
        stays = not any(
            _is_mended(work, picture, bad[picture.key]) for picture in work.pictures_of(shard) if picture.key in bad
        )
    if not stays:
        shard_file(work.folder, shard).unlink(missing_ok=True)
        report_file(work.folder, shard).unlink(missing_ok=True)
    return not stays


def _is_mended(work: LabelWork, picture: PictureFile, bad: BadPicture) -> bool:
    try:
        work.read(picture)
        return bad.content is None or bad.content != picture.digest()
    except ValueError:
        return False
