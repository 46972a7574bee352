"""The page as a program: `perceptio demo` runs it, and so does a Space, as `python app.py`.

A copy of this file alone is a Space's `app.py`; see examples/space. There the settings come from the environment.
"""

from __future__ import annotations

import importlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptio.serving.api.settings import allowed_hosts, is_loopback

if TYPE_CHECKING:
    from perceptio.serving.engine import Engine

USER = "perceptio"
"""Who logs in, where a password is asked."""

PASSWORD_VARIABLE = "PERCEPTIO_PASSWORD"
MODEL_VARIABLE = "PERCEPTIO_MODEL"

_UPLOAD_MB = 20  # the most that a picture file may have
_VISITORS = 200  # whose talks are kept


@dataclass(frozen=True)
class PageSettings:
    """What is served, and to whom."""

    model: str = "nano"  # nano, a folder, or a hub id
    device: str | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    password: str | None = field(default=None, repr=False)  # of the user "perceptio"
    public: bool = False  # let everybody in who reaches the host
    open_browser: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ValueError(f"a port is a number from 1 to 65535, not {self.port}")
        if self.password is not None and not self.password.strip():
            raise ValueError("the password is empty")
        if not is_loopback(self.host) and self.password is None and not self.public:
            raise ValueError(
                f"others can reach {self.host}: set a password ({PASSWORD_VARIABLE} or --password-file), "
                "or let everybody in with --public"
            )


def serve(settings: PageSettings) -> None:
    """Load the model and serve the page until the process is told to end.

    Raises:
        OSError: if the port is taken.
        ModelError: if the model cannot be loaded.
    """
    with running(settings) as address:
        print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
        if settings.open_browser:
            import webbrowser

            webbrowser.open(address)
        threading.Event().wait()


@contextmanager
def running(settings: PageSettings) -> Iterator[str]:
    """The model and its page, until the block is left; yields the page's address."""
    importlib.import_module("gradio")  # that it is missing, or the port taken, should not cost the loading of a model
    _check_port(settings.host, settings.port)
    from perceptio import Perceptio
    from perceptio.serving.engine import Engine

    model = Perceptio.from_pretrained(settings.model, device=settings.device)
    with Engine(model) as engine, page_of(engine, settings) as address:
        yield address


@contextmanager
def page_of(engine: Engine, settings: PageSettings) -> Iterator[str]:
    """The page of an engine that was started, served by a thread until the block is left; yields its address."""
    with tempfile.TemporaryDirectory(prefix="perceptio-page-") as folder:
        # read when gradio makes a component: no reports to its makers, and a folder that this process has for itself
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
        from perceptio.serving.page.blocks import build_page
        from perceptio.serving.page.looks import STATIC, theme

        page = build_page(engine, Path(folder))
        page.queue(max_size=engine.settings.queue_size)
        try:
            page.launch(
                server_name=_in_address(settings.host),
                server_port=settings.port,
                auth=None if settings.password is None else (USER, settings.password),
                state_session_capacity=_VISITORS,
                max_file_size=f"{_UPLOAD_MB}mb",
                css_paths=STATIC / "page.css",
                theme=theme(),
                app_kwargs=_hosts(settings.host),
                prevent_thread_lock=True,
                share=False,
                show_error=False,
                ssr_mode=False,
                mcp_server=False,
                enable_monitoring=False,
                run_history=False,
                footer_links=[],
                allowed_paths=[],
                inbrowser=False,
                quiet=True,
            )
            yield f"http://{_in_address(settings.host)}:{settings.port}"
        finally:
            page.close(verbose=False)


def settings_from_environment() -> PageSettings:
    """For a Space, whose container says where to listen and lets its visitors in; elsewhere for this machine alone."""
    space = os.environ.get("SYSTEM") == "spaces"
    return PageSettings(
        model=os.environ.get(MODEL_VARIABLE, "nano"),
        host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0") if space else "127.0.0.1",
        port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        password=os.environ.get(PASSWORD_VARIABLE),
        public=space,
    )


def _hosts(host: str) -> dict[str, Any]:
    """On loopback only requests by its own names are answered: one of elsewhere may point here (DNS rebinding)."""
    names = allowed_hosts(host, ())
    if names is None:
        return {}
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    own = [_in_address(name) for name in names]
    return {"middleware": [Middleware(TrustedHostMiddleware, allowed_hosts=own, www_redirect=False)]}


def _in_address(host: str) -> str:
    """As it stands in the address of a page: that of IPv6 has brackets."""
    return f"[{host}]" if ":" in host else host


def _check_port(host: str, port: int) -> None:
    """See that one can listen there.

    Raises:
        OSError: if not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(f"cannot listen on {host}, port {port} ({error.strerror}): choose another --port") from error


if __name__ == "__main__":
    serve(settings_from_environment())
