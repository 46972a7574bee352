"""`perceptio init`: a model from trained parts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import quiet, refuse_existing
from perceptio.model.design import Design


class Positions(StrEnum):
    """Where depth codes stand."""

    sequence = "sequence"
    image = "image"


DEFAULT = Design()
DEFAULT_POSITIONS = Positions(DEFAULT.depth_positions)
Tiles = Annotated[int, typer.Option(help="The most tiles of an image; 1: one square tile.", min=1)]
Pointing = Annotated[bool, typer.Option(help="[SEG] states also point at visual tokens (ours); without, as in Sa2VA.")]
DepthPositions = Annotated[
    Positions, typer.Option(help="Depth codes stand in sequence, or at their visual tokens (ours).")
]


def init(
    vlm: Annotated[str, typer.Option(help="InternVL in transformers' format: folder or hub id.", show_default=False)],
    sam: Annotated[str, typer.Option(help="SAM 2 in transformers' format: folder or hub id.", show_default=False)],
    tokenizer: Annotated[
        str, typer.Option(help="Folder of a depth tokenizer, or a model that has one.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new model.", show_default=False)],
    tiles: Tiles = 12,
    pointing: Pointing = DEFAULT.pointing,
    depth_positions: DepthPositions = DEFAULT_POSITIONS,
) -> None:
    """Join an InternVL, a SAM 2 and a depth tokenizer to a model that is ready to be trained."""
    refuse_existing(out)
    from perceptio.checkpoints.assemble import assemble
    from perceptio.files import replacing_folder
    from perceptio.model.loading import load_depth_tokenizer, locate

    quiet()
    model, processor, report = assemble(
        locate(vlm),
        locate(sam),
        load_depth_tokenizer(tokenizer),
        Design(pointing=pointing, depth_positions=depth_positions.value),
        tiles,
    )
    with replacing_folder(out) as beside:
        model.save_pretrained(beside)
        processor.save_pretrained(beside)
    print(f"wrote {out}/: {report}")
