"""One worker: label whatever shards are free, until none is left.

Any number of workers, on any machines, may share a folder. A lock keeps two from the same shard, and the system lets
go of it when its holder dies. On a file system without locks a shard may be labelled twice, with the same result.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from perceptio.images import WORKING_PIXELS, ImageError, WorkingImage
from perceptio.labeling.errors import UnusableError
from perceptio.labeling.labeler import Labeler, LabelerFiles, Labels
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.prompts import prompts_hash
from perceptio.labeling.settings import LabelSettings
from perceptio.labeling.shards import BadPicture, LabelRow, report_file, shard_file, write_shard

_Read = list[tuple[PictureFile, WorkingImage]]
_HALF = re.compile("[\ud800-\udfff]")  # how bytes that are not UTF-8 stand in the name of a file


@dataclass(frozen=True)
class LabelWork:
    """All that a worker needs to know; it can be sent to another process."""

    folder: Path  # of the labels
    pictures: tuple[PictureFile, ...]  # all, in the order of their keys
    prompts: Mapping[str, MaskPrompts]  # by key
    settings: LabelSettings
    files: LabelerFiles
    licence: str  # of the labels
    batch_size: int  # pictures labelled together

    @property
    def shards(self) -> int:
        """How many there are: a function of the list of pictures alone."""
        return -(-len(self.pictures) // self.settings.shard_size)

    def pictures_of(self, shard: int) -> tuple[PictureFile, ...]:
        return self.pictures[shard * self.settings.shard_size : (shard + 1) * self.settings.shard_size]

    def finished(self, shard: int) -> bool:
        return shard_file(self.folder, shard).is_file()

    def image_path(self, picture: PictureFile) -> str:
        """As labels name it, relative to their folder."""
        return Path(os.path.relpath(picture.location, self.folder)).as_posix()

    def prompts_of(self, picture: PictureFile) -> MaskPrompts:
        return self.prompts.get(picture.key, MaskPrompts())

    def prompts_hash(self, shard: int) -> str:
        """Of all prompts of a shard."""
        return prompts_hash(self.prompts, self.pictures_of(shard))

    def read(self, picture: PictureFile) -> WorkingImage:
        """A picture that can be labelled.

        Raises:
            ImageError: if it cannot be read, or its name cannot be written.
            ValueError: if a prompt lies outside it.
        """
        names = (picture.key, self.image_path(picture))
        if any(_HALF.search(name) for name in names):
            raise ImageError(f"{picture.location} has a name that is not UTF-8: rename it, and label into a new folder")
        image = picture.read()
        self.prompts_of(picture).inside(*image.size)
        return image


def lock_file(folder: Path, shard: int) -> Path:
    return folder / f".labels-{shard:06d}.lock"


class Worker:
    """Labels shards with networks that are loaded once, when the first shard needs them."""

    def __init__(self, work: LabelWork) -> None:
        self.work = work

    @cached_property
    def labeler(self) -> Labeler:
        return Labeler(self.work.files, self.work.settings.teacher.partition("@")[0])

    def run(self, shards: Sequence[int], on_shard: Callable[[], object]) -> None:
        """Label the shards that nobody else is at; those that another worker has dropped meanwhile, too.

        Args:
            shards: to look at.
            on_shard: called after each one that was labelled here.

        Raises:
            ValueError: if a network cannot be loaded.
            OutputError: if the folder cannot be written.
        """
        free = True
        while free:
            free = False
            for shard in shards:
                if self.take(shard):
                    free = True
                    on_shard()

    def take(self, shard: int) -> bool:
        """Label one shard; False if it is finished, or another worker is at it."""
        if self.work.finished(shard):
            return False
        with _lock(lock_file(self.work.folder, shard)) as held:
            if not held or self.work.finished(shard):
                return False
            for path in (report_file(self.work.folder, shard), shard_file(self.work.folder, shard)):
                for left in path.parent.glob(f".{path.name}.*.part"):  # by a worker that was killed while it wrote
                    left.unlink(missing_ok=True)
            rows, bad = self._label(self.work.pictures_of(shard))
            write_shard(self.work.folder, shard, rows, bad, self.work.prompts_hash(shard))
        return True

    def _label(self, pictures: Sequence[PictureFile]) -> tuple[list[LabelRow], list[BadPicture]]:
        rows: list[LabelRow] = []
        bad: list[BadPicture] = []
        for begin in range(0, len(pictures), self.work.batch_size):
            for batch in self._read(pictures[begin : begin + self.work.batch_size], bad):
                rows.extend(self._label_batch(batch, bad))
        return rows, sorted(bad, key=lambda each: each.key)

    def _read(self, pictures: Sequence[PictureFile], bad: list[BadPicture]) -> Iterator[_Read]:
        """The pictures that can be read, together; but many large ones apart, for the sake of memory."""
        batch: _Read = []
        pixels = 0
        for picture in pictures:
            try:
                image = self.work.read(picture)
            except ValueError as error:
                bad.append(self._bad(picture, error))
                continue
            area = image.image.width * image.image.height
            if batch and pixels + area > WORKING_PIXELS:
                yield batch
                batch, pixels = [], 0
            batch.append((picture, image))
            pixels += area
        if batch:
            yield batch

    def _label_batch(self, batch: _Read, bad: list[BadPicture]) -> list[LabelRow]:
        """Label pictures together, and one by one where that fails: who is at fault must not spoil the others."""
        labeler = self.labeler  # made outside: what goes wrong there is no picture's fault
        try:
            found = labeler.label(
                [image for _, image in batch], [self.work.prompts_of(picture) for picture, _ in batch]
            )
        except (UnusableError, MemoryError) as error:
            if len(batch) > 1:
                return [row for each in batch for row in self._label_batch([each], bad)]
            picture = batch[0][0]
            content = picture.digest() if isinstance(error, UnusableError) else None
            bad.append(replace(self._bad(picture, error), content=content))
            return []
        return [self._row(picture, labels) for (picture, _), labels in zip(batch, found, strict=True)]

    def _row(self, picture: PictureFile, labels: Labels) -> LabelRow:
        settings = self.work.settings
        return LabelRow(
            key=picture.key,
            image=self.work.image_path(picture),
            labels=labels,
            teacher=settings.teacher,
            segmenter=settings.segmenter,
            tokenizer=settings.tokenizer,
            licence=self.work.licence,
        )

    def _bad(self, picture: PictureFile, error: Exception) -> BadPicture:
        return BadPicture(picture.key, self.work.image_path(picture), str(error))


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether this process holds the lock; its file is removed afterwards."""
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks
            pass
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
