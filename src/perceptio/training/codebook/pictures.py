"""Maps that are held out beside their reconstructions, drawn at each evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import replacing
from perceptio.visualize.depth import colorize
from perceptio.visualize.sheet import contact_sheet

VALIDATION_PICTURE = "validation.png"
_SHOWN = 8  # maps
_SIDE = 240  # px of a tile


class DrawReconstructions(TrainerCallback):
    """Keep `validation.png` in the run's folder up to date.

    Args:
        maps: held out, each (S, S) float32; the first few are drawn.
    """

    def __init__(self, maps: Dataset[torch.Tensor]) -> None:
        count = min(_SHOWN, len(maps))  # type: ignore[arg-type]  # torch's Dataset declares no length
        self.maps = [maps[index] for index in range(count)]

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            self.draw(model, Path(args.output_dir))

    @torch.no_grad()
    def draw(self, tokenizer: DepthTokenizer, folder: Path) -> None:
        """Draw each map with its reconstruction to the right, and below it the mean absolute error.

        Raises:
            OutputError: if the picture cannot be written.
        """
        tiles = []
        training = tokenizer.training
        tokenizer.eval()
        for values in self.maps:
            codes = tokenizer.encode(values[None, None].to(tokenizer.device))
            found = tokenizer.decode(codes)[0, 0].float().clamp(-1, 1).cpu().numpy()
            error = float(np.abs(found - values.numpy()).mean())
            tiles += [(Image.fromarray(colorize(values.numpy())), "held out")]
            tiles += [(Image.fromarray(colorize(found)), f"{codes.shape[1]} codes, MAE {error:.3f}")]
        tokenizer.train(training)
        if tiles:
            with replacing(folder / VALIDATION_PICTURE) as beside:
                contact_sheet(tiles, columns=4, width=_SIDE).save(beside, format="PNG")
