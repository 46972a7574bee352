"""The work of labelling: depth codes, and masks where there are prompts, as rows of parquet files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perceptio.images import WorkingImage
from perceptio.labeling.labeler import Labeler, LabelerFiles
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.prompts import prompts_hash
from perceptio.labeling.reports import BadPicture
from perceptio.labeling.settings import LabelSettings
from perceptio.labeling.shards import LABELS, LABELS_SUFFIX, LabelRow, is_whole, write_shard
from perceptio.labeling.work import Batch, Work


@dataclass(frozen=True)
class LabelWork(Work[WorkingImage, LabelRow]):
    """Labels for all pictures of a folder."""

    prompts: Mapping[str, MaskPrompts]  # by key
    settings: LabelSettings
    files: LabelerFiles
    licence: str  # of the labels

    stem = LABELS
    suffix = LABELS_SUFFIX

    def load(self) -> Callable[[Batch[WorkingImage]], list[LabelRow]]:
        """As `Work`.

        Raises:
            ValueError: if a network cannot be loaded.
        """
        labeler = Labeler(self.files, self.settings.teacher.partition("@")[0])

        def make(batch: Batch[WorkingImage]) -> list[LabelRow]:
            found = labeler.label([image for _, image in batch], [self._prompts_of(picture) for picture, _ in batch])
            return [
                LabelRow(
                    key=picture.key,
                    image=self.image_path(picture),
                    labels=labels,
                    teacher=self.settings.teacher,
                    segmenter=self.settings.segmenter,
                    tokenizer=self.settings.tokenizer,
                    licence=self.licence,
                )
                for (picture, _), labels in zip(batch, found, strict=True)
            ]

        return make

    def read_content(self, picture: PictureFile) -> WorkingImage:
        """The picture, whose prompts lie inside it."""
        image = picture.read()
        self._prompts_of(picture).inside(*image.size)
        return image

    def pixels(self, content: WorkingImage) -> int:
        """As `Work`."""
        return content.image.width * content.image.height

    def write(self, shard: int, results: Sequence[LabelRow], bad: Sequence[BadPicture]) -> None:
        """As `Work`."""
        write_shard(self.folder, shard, results, bad, self.prompts_hash(shard))

    def is_whole(self, shard: int) -> bool:
        """As `Work`."""
        return is_whole(self.folder, shard)

    def prompts_hash(self, shard: int) -> str:
        """As `Work`."""
        return prompts_hash(self.prompts, self.pictures_of(shard))

    def _prompts_of(self, picture: PictureFile) -> MaskPrompts:
        return self.prompts.get(picture.key, MaskPrompts())
