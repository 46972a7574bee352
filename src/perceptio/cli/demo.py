"""`perceptio demo`: the page on which people look."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import quiet


def demo(
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub id.")] = "nano",
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs a password, or --public.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is the password of the user perceptio; PERCEPTIO_PASSWORD otherwise.",
            show_default=False,
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everybody in who reaches the host.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0 ...", show_default=False)] = None,
) -> None:
    """Show the page: choose a picture, ask, and see masks, depth and tokens as they come."""
    from perceptio.files.text import read_text
    from perceptio.serving.page.app import PASSWORD_VARIABLE, PageSettings, serve

    password = os.environ.get(PASSWORD_VARIABLE)
    if password_file is not None:
        password = read_text(password_file).partition("\n")[0].strip()
    settings = PageSettings(model, device, host, port, password, public, open_browser)
    quiet()
    serve(settings)
