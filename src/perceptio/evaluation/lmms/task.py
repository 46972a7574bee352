"""The lmms-eval task that reads the original annotation files of RefCOCO and its kin instead of a hub data set."""

from __future__ import annotations

import os
from typing import Any

from datasets import Dataset, DatasetDict
from lmms_eval.api.task import ConfigurableTask

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.lmms.refer import documents
from perceptio.evaluation.refseg import open_refer

ROOT, IMAGES = "PERCEPTIO_REFER_ROOT", "PERCEPTIO_REFER_IMAGES"


class MaskTask(ConfigurableTask):
    """A task whose documents are the expressions of one split.

    Args:
        config: of the YAML file: `dataset_path` is a dataset of `open_refer`, `test_split` one of its splits. The
            folders of annotations and pictures are those in the environment, `ROOT` and `IMAGES`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        # `class` is how lmms-eval got here, and no field of its configuration
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None) -> None:
        """Read the files; nothing is downloaded.

        Raises:
            EvaluationError: if a folder is not named, or as `open_refer`.
        """
        missing = [name for name in (ROOT, IMAGES) if not os.environ.get(name)]
        if missing:
            raise EvaluationError(
                f"{' and '.join(missing)} must name a folder: {ROOT} that of the annotations (refcoco/, refcoco+/, "
                f"refcocog/, grefcoco/), {IMAGES} that of COCO's train2014 pictures"
            )
        benchmark = open_refer(os.environ[ROOT], os.environ[IMAGES], self.config.dataset_path, self.config.test_split)
        self.dataset = DatasetDict({self.config.test_split: Dataset.from_list(documents(benchmark))})
        self.dataset_no_image = self.dataset  # rows hold paths: there is no image to leave out
