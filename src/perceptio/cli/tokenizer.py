"""`perceptio tokenizer train | maps | encode | decode | report`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli import codebook
from perceptio.cli.options import (
    AsJson,
    Limit,
    OneSplit,
    Rendered,
    Split,
    open_split,
    quiet,
)

app = typer.Typer(help="Depth maps to codes and back.", no_args_is_help=True)

Model = Annotated[str, typer.Option(help="nano, or a folder of a model, of a depth tokenizer or of its run.")]


app.command("train")(codebook.train)
app.command("maps")(codebook.maps)


@app.command()
def encode(
    source: Annotated[str, typer.Argument(help="A picture, or a .npy file of depth in metres.", show_default=False)],
    model: Model = "nano",
    teacher: codebook.Teacher = None,
) -> None:
    """Print the codes of a depth map as JSON."""

    from perceptio.data.depth_files import read_depth
    from perceptio.depth.teacher_codes import encode_maps
    from perceptio.depth.teachers.loading import load_teacher
    from perceptio.images import load_working_image
    from perceptio.model.loading import load_depth_tokenizer

    quiet()
    if source.endswith(".npy"):
        nearness = read_depth(Path(source), "metric", 1.0).nearness
    else:
        picture = load_working_image(source).image
        if teacher is None:
            raise ValueError(
                f"{source} is a picture: name a depth network with --teacher, or give a .npy file of depth"
            )
        nearness = load_teacher(teacher).inverse_depth(picture)
    tokenizer = load_depth_tokenizer(model)
    config = tokenizer.config
    codes = encode_maps(tokenizer, [nearness])[0]
    print(json.dumps({"grid": config.grid, "codes": codes.tolist()}))


@app.command()
def decode(
    source: Annotated[Path, typer.Argument(help="JSON as `encode` prints it.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The picture; a .npy file of the map is written beside it.")] = Path(
        "depth.png"
    ),
    model: Model = "nano",
) -> None:
    """Turn codes into a coloured depth map and its numbers."""
    import numpy as np
    import torch

    from perceptio.files import check_writable, replacing
    from perceptio.model.loading import load_depth_tokenizer
    from perceptio.visualize import color_depth

    if out.suffix == ".npy":
        raise ValueError(f"{out} is to be a picture, such as depth.png: the .npy file is written beside it")
    codes = _read_codes(source)
    arrays = out.with_suffix(".npy")
    for path in (out, arrays):
        check_writable(path)
    quiet()
    tokenizer = load_depth_tokenizer(model)
    config = tokenizer.config
    if len(codes) != config.tokens_per_map or not all(0 <= code < config.codes for code in codes):
        raise ValueError(
            f"{source} must hold {config.tokens_per_map} codes from 0 to {config.codes - 1}, not {len(codes)}"
        )
    with torch.no_grad():
        values = tokenizer.decode(torch.tensor([codes]))[0, 0].float().clamp(-1, 1).numpy()
    with replacing(out) as beside:
        color_depth(values).save(beside, format="PNG")
    with replacing(arrays) as beside, beside.open("wb") as file:
        np.save(file, values)
    print(f"wrote {out} and {arrays}", file=sys.stderr)


@app.command()
def report(
    model: Model = "nano",
    images: Annotated[
        Path | None, typer.Option(help="Judge by pictures that --teacher looks at: a folder.", show_default=False)
    ] = None,
    depth: Annotated[
        Path | None, typer.Option(help="Judge by a folder of depth maps instead.", show_default=False)
    ] = None,
    depth_kind: codebook.DepthKind = "metric",
    depth_scale: codebook.DepthScale = 1000.0,
    teacher: codebook.Teacher = None,
    device: Annotated[str, typer.Option(help="Of the teacher: cpu, cuda or cuda:0.")] = "cpu",
    split: OneSplit = Split.test,
    folder: Rendered = None,
    limit: Limit = None,
    picture: Annotated[
        Path | None, typer.Option(help="A PNG of the median and the worst map is written there.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Codebook usage, perplexity, depth errors and order accuracy of reconstructed maps; by default of scenes."""
    from perceptio.depth.teachers.loading import load_teacher
    from perceptio.evaluation.tokenizer import report_maps, report_tokenizer
    from perceptio.evaluation.true_maps import depth_file_maps, taught_maps
    from perceptio.files import check_writable
    from perceptio.model.loading import find_device, load_depth_tokenizer

    if sum(source is not None for source in (images, depth, folder)) > 1:
        raise ValueError("--images, --depth and --scenes are judged apart: give one of them")
    if (images is None) != (teacher is None):
        raise ValueError("--images needs a --teacher, who says what is true, and only they need one")
    if picture is not None:
        check_writable(picture)
    quiet()
    tokenizer = load_depth_tokenizer(model)
    if images is not None:
        assert teacher is not None
        find_device(device)
        settings = codebook.announce_teacher(teacher)
        maps = taught_maps([images], load_teacher(teacher, device))
        found = report_maps(
            tokenizer, maps, images.name, {"images": str(images), **settings}, limit=limit, picture=picture
        )
    elif depth is not None:
        kind = codebook.checked_kind(depth_kind)
        maps = depth_file_maps(depth, kind, depth_scale)
        found = report_maps(
            tokenizer, maps, depth.name, {"depth": str(depth), "kind": kind}, limit=limit, picture=picture
        )
    else:
        with open_split(folder, split, limit) as store:
            found = report_tokenizer(tokenizer, store, limit=limit, picture=picture)
    typer.echo(found.to_json() if as_json else found.to_markdown())


def _read_codes(source: Path) -> list[int]:
    from perceptio.files import read_json

    codes = read_json(source).get("codes")
    if not isinstance(codes, list) or not all(type(code) is int for code in codes):
        raise ValueError(f"{source} must hold codes, a list of whole numbers")
    return codes
