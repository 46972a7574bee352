"""`perceptio export`: a trained model for others."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import quiet, refuse_existing


class To(StrEnum):
    """What to write."""

    native = "native"
    internvl = "internvl"


class Precision(StrEnum):
    """Of the vision-language model's weights."""

    bfloat16 = "bfloat16"
    float16 = "float16"
    float32 = "float32"


def export(
    model: Annotated[str, typer.Argument(help="nano, a folder, or a hub id.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    to: Annotated[To, typer.Option(help="Our own format, or a plain InternVL for stock transformers.")] = To.native,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a PEFT adapter to merge.", show_default=False)] = None,
    dtype: Annotated[Precision, typer.Option(help="Of the vision-language model.")] = Precision.bfloat16,
) -> None:
    """Write a model with its adapter merged, or as an InternVL that stock transformers loads."""
    refuse_existing(out)
    import torch

    from perceptio.checkpoints.export import export as write
    from perceptio.model.loading import load

    quiet()
    loaded, processor = load(model, device="cpu", dtype=torch.float32)
    if adapter is not None:
        from perceptio.training.finetune.lora import load_adapter

        loaded = load_adapter(loaded, adapter)
    for sentence in write(loaded, processor, out, to.value, getattr(torch, dtype.value)):
        print(f"warning: {sentence}", file=sys.stderr)
    print(f"wrote {out}/")
