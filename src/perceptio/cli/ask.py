"""`perceptio ask`, and its shorthands `segment` and `depth`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptio.cli.options import quiet
from perceptio.tokens import DepthDecoding, Switch

if TYPE_CHECKING:
    from perceptio.results import Answer


_RELATIVE = "points in space, relative: without a scale, and right only up to an unknown shift of inverse depth"
_PICTURES, _PIXELS = 16, 50_000_000  # asked together
# texts, not paths, which would make "http:/" of "http://"
Images = Annotated[list[str], typer.Argument(help="One or more picture files.", show_default=False)]
Model = Annotated[str, typer.Option(help="nano, a folder, or a hub id.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder for overlay.png, depth.png and answer.json.", show_default=False)
]
Html = Annotated[
    Path | None,
    typer.Option(help="One web page of all answers: pictures, masks, depth, tokens, times.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the answer's text.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0 ...", show_default=False)]
Free = Annotated[bool, typer.Option("--free", help="Let the model run free of the grammar.")]
DepthSwitch = Literal["off", "auto", "on", "teacher"]
HowDepth = Annotated[
    DepthDecoding | None,
    typer.Option(
        help="How depth codes are found: exact in few calls, quick in six, parallel in two by a model that was trained "
        "for it, sequential one after the other. As the model says by default.",
        show_default=False,
    ),
]


def ask(
    images: Images,
    prompt: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    model: Model = "nano",
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
    seg: Annotated[Switch, typer.Option(help="Masks.")] = Switch.AUTO,
    depth: Annotated[DepthSwitch, typer.Option(help="Depth map; teacher: with the codes of --depth-teacher.")] = "auto",
    depth_teacher: Annotated[
        str | None, typer.Option(help="Folder or hub id of a monocular depth network.", show_default=False)
    ] = None,
    depth_decoding: HowDepth = None,
    free: Free = False,
    device: Device = None,
) -> None:
    """Ask a question about one or more images."""
    if (depth == "teacher") != (depth_teacher is not None):
        raise ValueError("--depth teacher and --depth-teacher belong together: give both or neither")
    asking = _Asking(seg, depth, not free, depth_decoding, depth_teacher)
    _run(images, prompt, model, Output(out, html, as_json), asking, device)


def segment(
    images: Images,
    what: Annotated[str, typer.Argument(help='What to segment, such as "the red cube".', show_default=False)],
    model: Model = "nano",
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
    device: Device = None,
) -> None:
    """Segment what is named: short for ask IMAGE "Segment WHAT." --seg on --depth off."""
    if not what.strip():
        raise ValueError('name what to segment, such as "the red cube"')
    asking = _Asking(Switch.ON, "off")
    _run(images, f"Segment {what.strip().rstrip('.')}.", model, Output(out, html, as_json), asking, device)


def depth(
    images: Images,
    model: Model = "nano",
    out: Out = None,
    html: Html = None,
    as_json: Json = False,
    export: Annotated[
        list[Path] | None,
        typer.Option(
            help="The map as .png (16 bits, white is near), .ply or .glb (points in space), by the suffix; repeatable.",
            show_default=False,
        ),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            help="Degrees that the picture's longer side spans, for points; a guess of 60 by default.",
            show_default=False,
        ),
    ] = None,
    depth_decoding: HowDepth = None,
    device: Device = None,
) -> None:
    """Estimate depth: short for ask IMAGE "Show the depth map." --seg off --depth on."""
    exports = tuple(export or ())
    _check_exports(exports, images, fov)
    asking = _Asking(Switch.OFF, "on", depth_decoding=depth_decoding)
    _run(images, "Show the depth map.", model, Output(out, html, as_json, exports, fov), asking, device)


@dataclass(frozen=True)
class Output:
    """Where answers go, besides the screen."""

    folder: Path | None
    html: Path | None
    as_json: bool
    exports: Sequence[Path] = ()  # of the depth map
    fov: float | None = None  # degrees


@dataclass(frozen=True)
class _Asking:
    seg: Switch
    depth: DepthSwitch
    constrained: bool = True
    depth_decoding: DepthDecoding | None = None
    depth_teacher: str | None = None


def _run(images: list[str], prompt: str, model: str, output: Output, asking: _Asking, device: str | None) -> None:
    if not prompt.strip():
        raise ValueError("the prompt is empty; ask a question or name what to segment")
    from perceptio.files import check_writable, check_writable_folder
    from perceptio.images import upright_size

    sizes = [upright_size(image) for image in images]  # before the model: a wrong path should not cost a load
    if output.folder is not None:
        check_writable_folder(output.folder)
    for file in (output.html, *output.exports):
        if file is not None:
            check_writable(file)
    quiet()
    from perceptio.pipeline import Perceptio
    from perceptio.results.report import Asked, writing_page

    asked = Perceptio.from_pretrained(model, device=device, depth_teacher=asking.depth_teacher)
    folders = [None] * len(images) if output.folder is None else _folders(output.folder, images)
    objects: list[dict[str, object]] = []
    with ExitStack() as stack:
        add = None if output.html is None else stack.enter_context(writing_page(output.html))
        for part in _parts(sizes):
            answers = asked.ask_batch(
                images[part],
                [prompt] * len(images[part]),
                seg=asking.seg,
                depth=asking.depth,
                constrained=asking.constrained,
                depth_decoding=asking.depth_decoding,
            )
            for answer, image, folder in zip(answers, images[part], folders[part], strict=True):
                if folder is not None:
                    print(f"wrote {answer.save(folder)}/", file=sys.stderr)
                if add is not None:
                    add(Asked(answer, prompt, Path(image).name))
                for file in output.exports:
                    _export(answer, file, output.fov)
                if output.as_json:
                    objects.append(_to_dict(answer, image, folder))
                else:
                    _print(answer, None if len(images) == 1 else image)
    if output.html is not None:
        print(f"wrote {output.html}", file=sys.stderr)
    if output.as_json:
        print(json.dumps(objects[0] if len(objects) == 1 else {"answers": objects}))


def _check_exports(exports: Sequence[Path], images: Sequence[str], fov: float | None) -> None:
    """Refuse, before the model is loaded, what could not be written."""
    from perceptio.results.space import Space

    Space(fov)
    for file in exports:
        if file.suffix.lower() not in (".png", ".ply", ".glb"):
            raise ValueError(f"{file} is neither .png nor .ply nor .glb: give the file one of these suffixes")
    if exports and len(images) > 1:
        raise ValueError(f"--export writes the depth map of one picture, and {len(images)} were given")


def _export(answer: Answer, file: Path, fov: float | None) -> None:
    from perceptio.files import write_files

    suffix = file.suffix.lower()
    if answer.depth is None:
        raise ValueError(f"{file} is not written: the model gave no depth map")
    if suffix == ".png":
        content = answer.depth.png16()
    else:
        cloud = answer.point_cloud(fov)
        content = cloud.ply() if suffix == ".ply" else cloud.glb()
    write_files(file.parent, {file.name: content})
    print(f"wrote {file}" + ("" if suffix == ".png" else f": {_RELATIVE}"), file=sys.stderr)


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
