"""The samples of a fine-tune, by the number of the visit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.data import Dataset

from perceptio.data.fit import Learner
from perceptio.data.mixture import Annealing, DataMixture
from perceptio.data.preparation import open_mixture
from perceptio.data.schema import Sample
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.processing import PerceptioProcessor
from perceptio.training.finetune.settings import FinetuneRecipe


@dataclass(frozen=True)
class TuningData:
    """What a fine-tune learns from and is watched on."""

    samples: int  # in one pass through the mixture
    training: Callable[[int], Dataset[Sample]]  # number of visits of the run -> their samples, in order
    validation: Dataset[Sample] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of each file of samples, by its path


def open_data(
    recipe: FinetuneRecipe, folder: Path, config: PerceptioConfig, processor: PerceptioProcessor | None = None
) -> TuningData:
    """Check a recipe's samples and mix them; what was found stands in `folder`, see `open_mixture`.

    Args:
        recipe: its files of samples are looked for from the working directory.
        folder: of the run.
        config: of the base.
        processor: of the base, which samples must fit; without, they are only checked by themselves, and all pictures
            count the same.

    Raises:
        DataError: if a file or a sample cannot be used.
    """
    plan = recipe.data

    def visual(width: int, height: int) -> int:
        assert processor is not None
        tiles: int = processor.image_processor.get_number_of_image_patches(height, width)
        return tiles * processor.image_seq_length

    def mixture(files: Mapping[str, float], place: Path, annealing: Annealing | None = None) -> DataMixture:
        return open_mixture(
            files,
            recipe.seed,
            place,
            skip_bad=plan.skip_bad,
            batch=recipe.tuning.batch,
            annealing=annealing,
            visual=visual if processor and recipe.tuning.batch > 1 else None,  # lengths only sort a batch's sequences
            learner=Learner(processor, config, recipe.packing.length) if processor else None,
            workers=recipe.tuning.workers,
        )

    train = mixture(plan.train, folder, Annealing() if plan.anneal else None)
    validation = mixture(plan.val, folder / "val") if plan.val else None
    files = [*train.files, *(validation.files if validation else [])]
    return TuningData(
        train.samples,
        train.training,
        validation.once() if validation else None,
        {str(file.path): file.digest for file in files},
    )
