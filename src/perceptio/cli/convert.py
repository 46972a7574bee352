"""`perceptio convert`: a checkpoint of InternVL's original format, or of Sa2VA, as a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.init import DEFAULT, DEFAULT_POSITIONS, DepthPositions, Pointing, Tiles
from perceptio.cli.options import quiet, refuse_existing
from perceptio.model.design import Design


def convert(
    source: Annotated[str, typer.Argument(help="The checkpoint: folder or hub id.", show_default=False)],
    tokenizer: Annotated[
        str, typer.Option(help="Folder of a depth tokenizer, or a model that has one.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new model.", show_default=False)],
    sam: Annotated[
        str | None,
        typer.Option(help="SAM 2 in transformers' format, for a checkpoint without one.", show_default=False),
    ] = None,
    text_tokenizer: Annotated[
        str | None,
        typer.Option(help="Folder or hub id whose text tokenizer to use (InternLM: the -hf one).", show_default=False),
    ] = None,
    tiles: Tiles = 12,
    pointing: Pointing = DEFAULT.pointing,
    depth_positions: DepthPositions = DEFAULT_POSITIONS,
) -> None:
    """Convert InternVL's original format (internvl_chat) or Sa2VA; every weight must have its place."""
    refuse_existing(out)
    from perceptio.checkpoints.conversion.checkpoint import convert_checkpoint
    from perceptio.files import replacing_folder
    from perceptio.model.loading import load_depth_tokenizer, locate

    quiet()
    model, processor, report = convert_checkpoint(
        locate(source),
        load_depth_tokenizer(tokenizer),
        Design(pointing=pointing, depth_positions=depth_positions.value),
        tiles=tiles,
        sam_folder=None if sam is None else locate(sam),
        tokenizer_folder=None if text_tokenizer is None else locate(text_tokenizer),
    )
    with replacing_folder(out) as beside:
        model.save_pretrained(beside)
        processor.save_pretrained(beside)
    print(f"wrote {out}/: {report}")
