"""One worker: make whatever shards are free, until none is left.

Any number of workers, on any machines, may share a folder. A lock keeps two from the same shard, and the system lets
go of it when its holder dies. On a file system without locks a shard may be made twice, with the same result.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from perceptio.images import WORKING_PIXELS, ImageError
from perceptio.labeling.errors import UnusableError
from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.reports import BadPicture, ShardFiles

Content = TypeVar("Content")  # of a picture's file
Result = TypeVar("Result")  # for one picture
Batch = Sequence[tuple[PictureFile, Content]]

_HALF = re.compile("[\ud800-\udfff]")  # how bytes that are not UTF-8 stand in the name of a file


@dataclass(frozen=True)
class Work(ABC, Generic[Content, Result]):
    """All that a worker needs to know; it can be sent to another process.

    What is made of a picture, and how a shard of it is stored, is said by the kinds of work.
    """

    folder: Path  # of the shards
    pictures: tuple[PictureFile, ...]  # all, in the order of their keys
    shard_size: int  # pictures
    batch_size: int  # pictures made together
    device: str  # of the networks

    stem: ClassVar[str]  # the names of a shard's files begin with it
    suffix: ClassVar[str]  # of the files of results

    @abstractmethod
    def load(self) -> Callable[[Batch[Content]], list[Result]]:
        """What makes the results of several pictures, with its networks loaded.

        It raises `UnusableError` where one of the pictures gives nothing usable, and `MemoryError` where the machine
        has not enough for all of them.
        """

    @abstractmethod
    def read_content(self, picture: PictureFile) -> Content:
        """A picture's file, read; a ValueError says what is wrong with it."""

    @abstractmethod
    def pixels(self, content: Content) -> int:
        """How many pixels it takes in memory."""

    @abstractmethod
    def write(self, shard: int, results: Sequence[Result], bad: Sequence[BadPicture]) -> None:
        """Write one shard, its results last."""

    @abstractmethod
    def is_whole(self, shard: int) -> bool:
        """Whether the results of a finished shard can be opened, and are as many as its report says."""

    @property
    def shards(self) -> int:
        """How many there are: a function of the list of pictures alone."""
        return -(-len(self.pictures) // self.shard_size)

    def pictures_of(self, shard: int) -> tuple[PictureFile, ...]:
        return self.pictures[shard * self.shard_size : (shard + 1) * self.shard_size]

    def files_of(self, shard: int) -> ShardFiles:
        return ShardFiles(self.folder, f"{self.stem}-{shard:06d}", self.suffix)

    def finished(self, shard: int) -> bool:
        return self.files_of(shard).results.is_file()

    def prompts_hash(self, shard: int) -> str:
        """Of all prompts of a shard; "" for work without prompts."""
        return ""

    def image_path(self, picture: PictureFile) -> str:
        """As results name it, relative to their folder."""
        return Path(os.path.relpath(picture.location, self.folder)).as_posix()

    def read(self, picture: PictureFile) -> Content:
        """A picture that can be worked on.

        Raises:
            ValueError: if it cannot be read, its name cannot be written, or a prompt lies outside it.
        """
        names = (picture.key, self.image_path(picture))
        if any(_HALF.search(name) for name in names):
            raise ImageError(f"{picture.location} has a name that is not UTF-8: rename it, and label into a new folder")
        return self.read_content(picture)


class Worker(Generic[Content, Result]):
    """Makes shards with networks that are loaded once, when the first shard needs them."""

    def __init__(self, work: Work[Content, Result]) -> None:
        self.work = work

    @cached_property
    def make(self) -> Callable[[Batch[Content]], list[Result]]:
        return self.work.load()

    def run(self, shards: Sequence[int], on_shard: Callable[[], object]) -> None:
        """Make the shards that nobody else is at; those that another worker has dropped meanwhile, too.

        Args:
            shards: to look at.
            on_shard: called after each one that was made here.

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
        """Make one shard; False if it is finished, or another worker is at it."""
        if self.work.finished(shard):
            return False
        files = self.work.files_of(shard)
        with _lock(files.lock) as held:
            if not held or self.work.finished(shard):
                return False
            for path in (files.report, files.results):
                for left in path.parent.glob(f".{path.name}.*.part"):  # by a worker that was killed while it wrote
                    left.unlink(missing_ok=True)
            self.work.write(shard, *self._make_all(self.work.pictures_of(shard)))
        return True

    def _make_all(self, pictures: Sequence[PictureFile]) -> tuple[list[Result], list[BadPicture]]:
        results: list[Result] = []
        bad: list[BadPicture] = []
        for begin in range(0, len(pictures), self.work.batch_size):
            for batch in self._read(pictures[begin : begin + self.work.batch_size], bad):
                results.extend(self._make_batch(batch, bad))
        return results, sorted(bad, key=lambda each: each.key)

    def _read(self, pictures: Sequence[PictureFile], bad: list[BadPicture]) -> Iterator[Batch[Content]]:
        """The pictures that can be read, together; but many large ones apart, for the sake of memory."""
        batch: list[tuple[PictureFile, Content]] = []
        pixels = 0
        for picture in pictures:
            try:
                content = self.work.read(picture)
            except ValueError as error:
                bad.append(self._bad(picture, error))
                continue
            area = self.work.pixels(content)
            if batch and pixels + area > WORKING_PIXELS:
                yield batch
                batch, pixels = [], 0
            batch.append((picture, content))
            pixels += area
        if batch:
            yield batch

    def _make_batch(self, batch: Batch[Content], bad: list[BadPicture]) -> list[Result]:
        """Work on pictures together, and one by one where that fails: who is at fault must not spoil the others."""
        make = self.make  # loaded outside: what goes wrong there is no picture's fault
        try:
            return make(batch)
        except (UnusableError, MemoryError) as error:
            if len(batch) > 1:
                return [result for each in batch for result in self._make_batch([each], bad)]
            picture = batch[0][0]
            content = picture.digest() if isinstance(error, UnusableError) else None
            bad.append(replace(self._bad(picture, error), content=content))
            return []

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
