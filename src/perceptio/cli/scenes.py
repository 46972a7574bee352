"""`perceptio scenes render | tests | show | assets`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import OneSplit, Split, WorldName

app = typer.Typer(help="The procedural worlds: render them, look at them.", no_args_is_help=True)

Size = Annotated[int, typer.Option(help="Side of the pictures, px.")]
Which = Annotated[WorldName, typer.Option("--world", help="Which world, and which look of it.")]
Pack = Annotated[
    Path | None,
    typer.Option(help="Models and surfaces, from `scenes assets`; the table-top needs none.", show_default=False),
]
Workers = Annotated[int | None, typer.Option(help="Processes; one a core by default.", show_default=False)]


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(help="Where to write.", show_default=False)],
    split: OneSplit = Split.train,
    count: Annotated[int, typer.Option(help="Scenes.")] = 1000,
    world: Which = WorldName.tabletop,
    pack: Pack = None,
    size: Size = 224,
    workers: Workers = None,
) -> None:
    """Render scenes of one split; the same command again resumes where it stopped."""
    from perceptio.scenes.render_job import render_split

    store = render_split(folder, split.value, count, world=world.value, pack=pack, size=size, workers=workers)
    typer.echo(f"{len(store)} scenes of {store.meta.split} in {folder}, content hash {store.meta.content_hash[:16]}")


@app.command("tests")
def render_tests(
    folder: Annotated[Path, typer.Argument(help="Each split gets a folder in here.", show_default=False)],
    pack: Pack = None,
    size: Size = 224,
    workers: Workers = None,
) -> None:
    """Render the test splits, with generator version and content hash recorded: the table-top's, with a pack all."""
    from perceptio.scenes.render_job import render_test_splits

    for place, store in render_test_splits(folder, pack=pack, size=size, workers=workers).items():
        meta = store.meta
        typer.echo(
            f"{place}: {meta.count} scenes, generator {meta.generator_version}, content hash {meta.content_hash}"
        )


@app.command()
def show(
    folder: Annotated[
        Path | None, typer.Argument(help="Rendered scenes; fresh ones by default.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="The contact sheet.")] = Path("scenes.png"),
    count: Annotated[int, typer.Option(help="Scenes to show.", min=1, max=64)] = 6,
    split: Annotated[Split, typer.Option(help="Split of fresh scenes.")] = Split.train,
    world: Which = WorldName.tabletop,
    pack: Pack = None,
    seed: Annotated[int, typer.Option(help="Of the questions.", min=0)] = 0,
    side: Annotated[int, typer.Option(help="Side of a tile, px; below 300 two scenes share a row.", min=64)] = 448,
    pictures: Annotated[bool, typer.Option("--pictures", help="The pictures alone, eight in a row.")] = False,
) -> None:
    """Draw a contact sheet: each scene's picture, masks, depth, and what is asked about it."""
    from perceptio.files import check_writable
    from perceptio.scenes.contact_sheet import draw_pictures, draw_scenes, fresh_scenes
    from perceptio.scenes.storage import SceneStore

    check_writable(out)
    if folder is not None:
        scenes = SceneStore(folder)[:count]
    else:
        scenes = fresh_scenes(split.value, count, world=world.value, pack=pack)
    if pictures:
        draw_pictures(scenes, out, side=min(side, 224))
    else:
        draw_scenes(scenes, out, seed=seed, side=side)
    print(f"wrote {out}", file=sys.stderr)


@app.command()
def assets(
    source: Annotated[Path, typer.Option("--from", help="Debian packages: unpacked, or .deb.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the pack.", show_default=False)],
) -> None:
    """Pack models and surface pictures from Debian's packages; scripts/fetch_assets.sh fetches them."""
    import time

    from perceptio.scenes.assets.build import build_pack
    from perceptio.scenes.assets.skipped import summary

    began = time.monotonic()
    built = build_pack(source, out)
    megabytes = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    triangles = f"{built.triangles:,} of {built.triangles_before:,} triangles"
    typer.echo(
        f"{built.models} models of {built.classes} classes, {triangles}, and {built.surfaces} surface pictures "
        f"in {out}: {megabytes:.1f} MB, {time.monotonic() - began:.0f} s, content hash {built.content_hash[:16]}"
    )
    for line in (*built.notes, *summary(built.skipped)):
        typer.echo(line)
