"""`perceptio serve`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptio.cli.options import quiet

if TYPE_CHECKING:
    from perceptio.serving.engine import Engine


def serve(
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub id.")] = "nano",
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs a key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:0 ...", show_default=False)] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="File of the key that clients must send; or set PERCEPTIO_API_KEY.", show_default=False),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="A name of this server behind a proxy, for the Host header.", show_default=False),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose pages may ask, such as https://example.org.", show_default=False),
    ] = None,
    remote_images: Annotated[
        bool, typer.Option("--remote-images", help="Fetch pictures from public web addresses.")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Questions answered together.", min=1)] = 16,
    queue_size: Annotated[int, typer.Option(help="Questions that may wait; further ones get 429.", min=1)] = 64,
    deadline: Annotated[
        float, typer.Option(help="Seconds for an answer, the queue included, once its picture is there.", min=0.1)
    ] = 60.0,
    pictures: Annotated[int, typer.Option(help="Pictures that are kept.", min=1)] = 64,
    picture_seconds: Annotated[float, typer.Option(help="Seconds a picture is kept after its last use.", min=1)] = (
        900.0
    ),
    max_turns: Annotated[int, typer.Option(help="Earlier questions in a conversation.", min=1)] = 32,
    max_prompt_chars: Annotated[int, typer.Option(help="Characters of a conversation.", min=1)] = 8000,
    max_megapixels: Annotated[float, typer.Option(help="Of a picture.", min=0.01, max=150)] = 25.0,
    max_body_mb: Annotated[float, typer.Option(help="Of a request.", min=0.01, max=1024)] = 32.0,
    grace: Annotated[float, typer.Option(help="Seconds for the last answers when it is ended.", min=1)] = 65.0,
) -> None:
    """Serve a model over HTTP, for OpenAI's clients and others; SIGTERM or Ctrl-C ends it when all are answered."""
    from perceptio.serving.api.server import bind
    from perceptio.serving.api.server import serve as run
    from perceptio.serving.api.service import Service
    from perceptio.serving.api.settings import ApiSettings, allowed_hosts, check_address, check_origins, read_key
    from perceptio.serving.engine import EngineSettings

    key = read_key(api_key_file)
    check_address(host, key)
    limits = EngineSettings(
        batch_size=batch_size,
        queue_size=queue_size,
        deadline_s=deadline,
        pictures=pictures,
        picture_seconds=picture_seconds,
        max_turns=max_turns,
        max_prompt_chars=max_prompt_chars,
        max_pixels=round(max_megapixels * 1e6),
    )
    settings = ApiSettings(
        api_key=key,
        hosts=allowed_hosts(host, tuple(allowed_host or ())),
        cors_origins=check_origins(cors_origin or ()),
        remote_images=remote_images,
        max_body_bytes=round(max_body_mb * 1e6),
        max_held_bytes=round(max(16 * max_body_mb, 64) * 1e6),
    )

    def make() -> Engine:
        from perceptio.pipeline import Perceptio
        from perceptio.serving.engine import Engine

        quiet()
        return Engine(Perceptio.from_pretrained(model, device=device), limits)

    with bind(host, port) as listener:
        _log()
        run(Service(settings), make, listener, grace, _told(listener.getsockname()[:2], key is not None))


def _told(address: tuple[str, int], locked: bool) -> str:
    """What is said when the model is loaded; %s is its name."""
    host, port = address
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    header = ' -H "Authorization: Bearer $PERCEPTIO_API_KEY"' if locked else ""
    return (
        f"serving %s at {url}, {'with an API key' if locked else 'without a key, on this machine alone'}; try\n"
        f"  curl {url}/v1/perceive{header} -F image=@picture.png -F prompt='What is in the picture?'"
    )


def _log() -> None:
    """One line an event on stderr."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    for name in ("uvicorn.error", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
