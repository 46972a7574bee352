"""Learning curves as a picture and as JSON lines, rewritten at each checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from perceptio.files import replacing


class DrawCurves(TrainerCallback):
    """Keep `curves.png` and `log.jsonl` in the stage's folder up to date.

    Args:
        title: of the picture.
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        with replacing(folder / "log.jsonl") as path:
            path.write_text("".join(json.dumps(entry) + "\n" for entry in state.log_history))
        draw_curves(state.log_history, folder / "curves.png", self.title)


def draw_curves(history: list[dict[str, float]], path: Path, title: str) -> None:
    """One small plot for each loss: training as a line, evaluation as dots."""
    from matplotlib.figure import Figure

    names = sorted({key for entry in history for key in entry if key == "loss" or key.startswith("loss/")})
    if not names:
        return
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    width, height = 3.4 * columns, 2.5 * rows  # inches, as the margins
    figure = Figure(figsize=(width, height))
    # given, not fitted: to measure the words of thirty plots takes seconds at every save
    figure.subplots_adjust(0.6 / width, 0.35 / height, 1 - 0.15 / width, 1 - 0.6 / height, 0.25, 0.35)
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, columns, place)
        for key, style in ((name, "-"), (f"eval_{name}", "o")):
            values = [(entry["step"], entry[key]) for entry in history if key in entry]
            if values:
                axes.plot(*zip(*values, strict=True), style, markersize=3, linewidth=1)
        axes.set_title(name.removeprefix("loss/"), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=4)
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    with replacing(path) as beside:
        # pressed lightly: harder takes longer than the drawing of five plots
        figure.savefig(beside, format="png", dpi=100, pil_kwargs={"compress_level": 1})
