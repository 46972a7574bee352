"""One worker: label whatever shards are free, until none is left.

Any number of workers, on any machines, may share a folder. A lock keeps two from the same shard, and the system lets
go of it when its holder dies. On a file system without locks a shard may be labelled twice, with the same result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from perceptio.labeling.labeler import Labeler, LabelerFiles
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.settings import LabelSettings
from perceptio.labeling.shards import BadPicture, LabelRow, report_file, shard_file, write_shard


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


def lock_file(folder: Path, shard: int) -> Path:
    return folder / f".labels-{shard:06d}.lock"


class Worker:
    """Labels shards with networks that are loaded once, when the first shard needs them."""

    def __init__(self, work: LabelWork) -> None:
        self.work = work

    @cached_property
    def labeler(self) -> Labeler:
        return Labeler(self.work.files)

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
            write_shard(self.work.folder, shard, rows, bad)
        return True

    def _label(self, pictures: Sequence[PictureFile]) -> tuple[list[LabelRow], list[BadPicture]]:
        rows: list[LabelRow] = []
        bad: list[BadPicture] = []
        for begin in range(0, len(pictures), self.work.batch_size):
            batch = pictures[begin : begin + self.work.batch_size]
            read: list[tuple[PictureFile, Image.Image]] = []
            for picture in batch:
                try:
                    read.append((picture, read_checked(picture, self._prompts(picture))))
                except ValueError as error:
                    bad.append(BadPicture(picture.key, self.work.image_path(picture), str(error)))
            if read:
                rows.extend(self._label_batch(read))
        return rows, bad

    def _label_batch(self, read: Sequence[tuple[PictureFile, Image.Image]]) -> Iterator[LabelRow]:
        settings = self.work.settings
        found = self.labeler.label([image for _, image in read], [self._prompts(picture) for picture, _ in read])
        for (picture, _), labels in zip(read, found, strict=True):
            yield LabelRow(
                key=picture.key,
                image=self.work.image_path(picture),
                labels=labels,
                teacher=settings.teacher,
                segmenter=settings.segmenter,
                tokenizer=settings.tokenizer,
                licence=self.work.licence,
            )

    def _prompts(self, picture: PictureFile) -> MaskPrompts:
        return self.work.prompts.get(picture.key, MaskPrompts())


def read_checked(picture: PictureFile, prompts: MaskPrompts) -> Image.Image:
    """A picture whose prompts lie inside it.

    Raises:
        ImageError: if it cannot be read.
        ValueError: if a prompt lies outside it.
    """
    image = picture.read()
    prompts.check(*image.size)
    return image


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
