"""`perceptio ask`, and its shorthands `segment` and `depth`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptio.cli.options import quiet
from perceptio.tokens import Switch

if TYPE_CHECKING:
    from perceptio.results import Answer


Images = Annotated[list[Path], typer.Argument(help="One or more picture files.", show_default=False)]
Model = Annotated[str, typer.Option(help="nano, a folder, or a hub id.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder for overlay.png, depth.png and answer.json.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the answer's text.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0 ...", show_default=False)]
Free = Annotated[bool, typer.Option("--free", help="Let the model run free of the grammar.")]


def ask(
    images: Images,
    prompt: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    model: Model = "nano",
    out: Out = None,
    as_json: Json = False,
    seg: Annotated[Switch, typer.Option(help="Masks.")] = Switch.AUTO,
    depth: Annotated[Switch, typer.Option(help="Depth map.")] = Switch.AUTO,
    free: Free = False,
    device: Device = None,
) -> None:
    """Ask a question about one or more images."""
    _run(images, prompt, model, out, as_json, seg, depth, free, device)


def segment(
    images: Images,
    what: Annotated[str, typer.Argument(help='What to segment, such as "the red cube".', show_default=False)],
    model: Model = "nano",
    out: Out = None,
    as_json: Json = False,
    device: Device = None,
) -> None:
    """Segment what is named: short for ask IMAGE "Segment WHAT." --seg on --depth off."""
    if not what.strip():
        raise ValueError('name what to segment, such as "the red cube"')
    _run(images, f"Segment {what.strip().rstrip('.')}.", model, out, as_json, Switch.ON, Switch.OFF, False, device)


def depth(images: Images, model: Model = "nano", out: Out = None, as_json: Json = False, device: Device = None) -> None:
    """Estimate depth: short for ask IMAGE "Show the depth map." --seg off --depth on."""
    _run(images, "Show the depth map.", model, out, as_json, Switch.OFF, Switch.ON, False, device)


def _run(
    images: list[Path],
    prompt: str,
    model: str,
    out: Path | None,
    as_json: bool,
    seg: Switch,
    depth: Switch,
    free: bool,
    device: str | None,
) -> None:
    if not prompt.strip():
        raise ValueError("the prompt is empty; ask a question or name what to segment")
    from perceptio.images import load_image

    pictures = [load_image(image) for image in images]  # before the model: a wrong path should not cost a load
    quiet()
    from perceptio.pipeline import Perceptio

    answers = Perceptio.from_pretrained(model, device=device).ask_batch(
        pictures, [prompt] * len(pictures), seg=seg, depth=depth, constrained=not free
    )
    folders: list[Path | None] = [None] * len(images)
    if out is not None:
        folders = [answer.save(folder) for answer, folder in zip(answers, _folders(out, images), strict=True)]
        for folder in folders:
            print(f"wrote {folder}/", file=sys.stderr)
    if as_json:
        objects = [
            _to_dict(answer, image, folder) for answer, image, folder in zip(answers, images, folders, strict=True)
        ]
        print(json.dumps(objects[0] if len(objects) == 1 else {"answers": objects}))
        return
    for answer, image in zip(answers, images, strict=True):
        print(answer.text if len(answers) == 1 else f"{image}: {answer.text}")
        for problem in answer.trace.malformed:
            print(f"warning: {problem}", file=sys.stderr)


def _to_dict(answer: Answer, image: Path, folder: Path | None) -> dict[str, object]:
    from perceptio.results import DEPTH_FILE

    file = str(folder / DEPTH_FILE) if folder is not None and answer.depth is not None else None
    return {"image": str(image), **answer.to_dict(file)}


def _folders(out: Path, images: list[Path]) -> list[Path]:
    """One folder an image; several images get one each below `out`, told apart where names repeat."""
    if len(images) == 1:
        return [out]
    names: list[str] = []
    for image in images:
        name, number = image.stem, 2
        while name in names:
            name, number = f"{image.stem}-{number}", number + 1
        names.append(name)
    return [out / name for name in names]
