"""The depth codes that a model writes itself, so that it can be taught what to make of them.

Taught on true codes, a model leans on the ones before: it goes on from its own first mistakes as if they were true, and
believes the map that it ends up with. In use it has no other. So some answers read what the model wrote before the
stage began, while the targets stay the truth: DAgger (Ross et al., AISTATS 2011), once a stage. [ours], measured in
docs/experiments.md.

Shapes: B scenes, N codes a map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from perceptio.data.templates import DEPTH, pick
from perceptio.decoding.engine import decode
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.reading import prefill
from perceptio.files import replacing
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.scenes.storage import SceneStore
from perceptio.tokens import Switch, parse

GeneratedDepth = dict[int, tuple[int, ...]]  # scene -> codes

_BATCH = 256  # scenes decoded together, and kept together in a file: a step takes a GPU no longer for many than for few


def write_depth(
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    store: SceneStore,
    scenes: Sequence[int],
    folder: Path,
    seed: int,
) -> GeneratedDepth:
    """Depth codes of some scenes as the model writes them, without marks in the picture.

    What is already in the folder is read, so that a run that goes on reads what it read before.

    Args:
        model: that writes; moved to the GPU if there is one.
        processor: of the model.
        store: that holds the scenes.
        scenes: their numbers.
        folder: of the files.
        seed: of the questions.

    Raises:
        ValueError: if a file is damaged.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    was_training = model.training
    model.eval().to(device)
    found: GeneratedDepth = {}
    for number in tqdm(range(math.ceil(len(scenes) / _BATCH)), desc="self-generated depth codes", unit="batch"):
        part = list(scenes[number * _BATCH : (number + 1) * _BATCH])
        path = folder / f"{number:05d}.safetensors"
        written = _read(path, part)
        if written is None:
            written = _write(model, processor, store, part, seed)
            with replacing(path) as beside:
                beside.write_bytes(save({"scenes": torch.tensor(part), "codes": written.to(torch.int32)}))
        found |= zip(part, map(tuple, written.tolist()), strict=True)
    model.train(was_training)
    return found


def _read(path: Path, scenes: Sequence[int]) -> Tensor | None:
    """(B, N) codes in a file; None where there is none, or it holds those of other scenes, as of a shorter run."""
    if not path.is_file():
        return None
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it, and it is written again") from error
    return stored["codes"] if stored["scenes"].tolist() == scenes else None


@torch.no_grad()
def _write(
    model: PerceptioForConditionalGeneration,
    processor: PerceptioProcessor,
    store: SceneStore,
    scenes: Sequence[int],
    seed: int,
) -> Tensor:
    """(B, N) int64 on the CPU."""
    images = [Image.fromarray(store.pictures(index)[0]) for index in scenes]
    questions = [pick(DEPTH, np.random.default_rng((seed, index))) for index in scenes]
    batch = processor.prepare(images, questions, Switch.OFF, Switch.ON).to(model.device)
    start = prefill(model, batch["input_ids"], batch["attention_mask"], batch["pixel_values"])
    options = DecodingOptions((Switch.OFF,) * len(scenes), (Switch.ON,) * len(scenes))
    written = [parse(model.config.vocabulary, row.ids) for row in decode(model, start, options)]
    return torch.tensor([answer.spans[0].codes for answer in written])
