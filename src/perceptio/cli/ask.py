"""`perceptio ask`, and its shorthands `segment` and `depth`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptio.cli.options import quiet
from perceptio.tokens import Switch

if TYPE_CHECKING:
    from perceptio.results import Answer


_PICTURES, _PIXELS = 16, 50_000_000  # asked together
# texts, not paths, which would make "http:/" of "http://"
Images = Annotated[list[str], typer.Argument(help="One or more picture files.", show_default=False)]
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
    images: list[str],
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
    from perceptio.files import check_writable_folder
    from perceptio.images import upright_size

    sizes = [upright_size(image) for image in images]  # before the model: a wrong path should not cost a load
    if out is not None:
        check_writable_folder(out)
    quiet()
    from perceptio.pipeline import Perceptio

    asked = Perceptio.from_pretrained(model, device=device)
    folders = [None] * len(images) if out is None else _folders(out, images)
    objects: list[dict[str, object]] = []
    for part in _parts(sizes):
        answers = asked.ask_batch(
            images[part], [prompt] * len(images[part]), seg=seg, depth=depth, constrained=not free
        )
        for answer, image, folder in zip(answers, images[part], folders[part], strict=True):
            if folder is not None:
                print(f"wrote {answer.save(folder)}/", file=sys.stderr)
            if as_json:
                objects.append(_to_dict(answer, image, folder))
            else:
                _print(answer, None if len(images) == 1 else image)
    if as_json:
        print(json.dumps(objects[0] if len(objects) == 1 else {"answers": objects}))


def _parts(sizes: list[tuple[int, int]]) -> Iterator[slice]:
    """Which pictures to ask together, by their sizes (width, height): the answers to all would fill the memory."""
    begin = pixels = 0
    for number, (width, height) in enumerate(sizes):
        pixels += width * height
        if number > begin and (pixels > _PIXELS or number - begin == _PICTURES):
            yield slice(begin, number)
            begin, pixels = number, width * height
    yield slice(begin, len(sizes))


def _print(answer: Answer, image: str | None) -> None:
    print(answer.text if image is None else f"{image}: {answer.text}")
    for problem in answer.trace.malformed:
        print(f"warning: {problem}", file=sys.stderr)


def _to_dict(answer: Answer, image: str, folder: Path | None) -> dict[str, object]:
    from perceptio.results import DEPTH_FILE

    file = str(folder / DEPTH_FILE) if folder is not None and answer.depth is not None else None
    return {"image": image, **answer.to_dict(file)}


def _folders(out: Path, images: list[str]) -> list[Path]:
    """One folder an image; several images get one each below `out`, told apart where names repeat."""
    if len(images) == 1:
        return [out]
    names: list[str] = []
    for stem in (Path(image).stem for image in images):
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return [out / name for name in names]
