"""The command tree."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from perceptio import __version__
from perceptio.cli import (
    ablate,
    ask,
    convert,
    data,
    demo,
    evaluate,
    export,
    init,
    label,
    scenes,
    serve,
    tokenizer,
    train,
)
from perceptio.cli.errors import reporting


class _Commands(TyperGroup):
    """Reports errors before Typer sees them: it ends Ctrl-C without a word and a closed pipe as a failure."""

    def invoke(self, ctx: Any) -> Any:
        with reporting():
            return super().invoke(ctx)


app = typer.Typer(
    name="perceptio",
    cls=_Commands,
    help="Ask an image a question; get the answer with its masks and depth map.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"perceptio {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Ask an image a question; get the answer with its masks and depth map."""


app.command("ask")(ask.ask)
app.command("segment")(ask.segment)
app.command("depth")(ask.depth)
app.command("init")(init.init)
app.command("convert")(convert.convert)
app.command("export")(export.export)
app.command("label")(label.label)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.add_typer(scenes.app, name="scenes")
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(evaluate.app, name="eval")
