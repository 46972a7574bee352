"""`perceptio init`: a model from trained parts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import quiet, refuse_existing


class Positions(StrEnum):
    """Where depth codes stand."""

    image = "image"
    sequence = "sequence"


def init(
    vlm: Annotated[str, typer.Option(help="InternVL in transformers' format: folder or hub id.", show_default=False)],
    sam: Annotated[str, typer.Option(help="SAM 2 in transformers' format: folder or hub id.", show_default=False)],
    tokenizer: Annotated[
        str, typer.Option(help="Folder of a depth tokenizer, or a model that has one.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new model.", show_default=False)],
    tiles: Annotated[int, typer.Option(help="The most tiles of an image; 1: one square tile.", min=1)] = 12,
    pointing: Annotated[bool, typer.Option(help="[SEG] states point at visual tokens; without, as in Sa2VA.")] = True,
    depth_positions: Annotated[
        Positions, typer.Option(help="Depth codes stand at their visual tokens, or in sequence.")
    ] = Positions.image,
) -> None:
    """Join an InternVL, a SAM 2 and a depth tokenizer to a model that is ready to be trained."""
    refuse_existing(out)
    from perceptio.files import replacing_folder
    from perceptio.loading import load_depth_tokenizer, locate
    from perceptio.model.assemble import Design, assemble

    quiet()
    model, processor, report = assemble(
        locate(vlm),
        locate(sam),
        load_depth_tokenizer(tokenizer),
        Design(tiles=tiles, pointing=pointing, depth_positions=depth_positions.value),
    )
    with replacing_folder(out) as beside:
        model.save_pretrained(beside)
        processor.save_pretrained(beside)
    print(f"wrote {out}/: {report}")
