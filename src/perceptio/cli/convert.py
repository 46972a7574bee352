"""`perceptio convert`: a checkpoint of InternVL's original format, or of Sa2VA, as a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.init import Positions
from perceptio.cli.options import quiet, refuse_existing


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
    tiles: Annotated[int, typer.Option(help="The most tiles of an image; 1: one square tile.", min=1)] = 12,
    pointing: Annotated[bool, typer.Option(help="[SEG] states point at visual tokens; Sa2VA's do not.")] = False,
    depth_positions: Annotated[
        Positions, typer.Option(help="Depth codes stand at their visual tokens, or in sequence.")
    ] = Positions.image,
) -> None:
    """Convert InternVL's original format (internvl_chat) or Sa2VA; every weight must have its place."""
    refuse_existing(out)
    from perceptio.files import replacing_folder
    from perceptio.loading import load_depth_tokenizer, locate
    from perceptio.model.assemble import Design
    from perceptio.model.conversion.checkpoint import convert_checkpoint

    quiet()
    model, processor, report = convert_checkpoint(
        locate(source),
        load_depth_tokenizer(tokenizer),
        Design(tiles=tiles, pointing=pointing, depth_positions=depth_positions.value),
        sam_folder=None if sam is None else locate(sam),
        tokenizer_folder=None if text_tokenizer is None else locate(text_tokenizer),
    )
    with replacing_folder(out) as beside:
        model.save_pretrained(beside)
        processor.save_pretrained(beside)
    print(f"wrote {out}/: {report}")
