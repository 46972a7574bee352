"""What the routes share: the engine, which may still be loading, the settings and the counts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastapi import Request

from perceptio import __version__
from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.metrics import Metrics
from perceptio.serving.api.remote import RemotePictures
from perceptio.serving.api.settings import ApiSettings
from perceptio.serving.engine import Engine

_DECODERS = 4  # pictures decoded at once: each may take memory for all its pixels


class Service:
    """What the routes share.

    Args:
        settings: of the server.
        engine: that answers; None where `load` will give it.
    """

    def __init__(self, settings: ApiSettings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.remote = RemotePictures(settings.max_body_bytes, settings.remote_seconds)
        self.decoders = ThreadPoolExecutor(_DECODERS, "perceptio-decode")
        self.created = int(time.time())
        self.fingerprint = f"perceptio-{__version__}"
        self.closing = False
        self.failure: Exception | None = None  # of loading
        self._engine: Engine | None = None
        if engine is not None:
            self._take(engine)

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            ApiError: 503 while it is loading.
        """
        if self._engine is None:
            raise ApiError(503, "the model is still loading", "loading", headers={"Retry-After": "5"})
        return self._engine

    @property
    def ready(self) -> bool:
        """Whether questions are answered now."""
        return self._engine is not None and self._engine.ready and not self.closing

    @property
    def model_name(self) -> str:
        """By which clients know the model; of a folder its last name, since paths are nobody's business."""
        name = self.engine.name
        return Path(name).resolve().name if os.path.isdir(name) else name

    def load(self, make: Callable[[], Engine], done: Callable[[], None]) -> None:
        """Make the engine in a thread, then call `done`, whether it went well or not."""

        def work() -> None:
            try:
                engine = make()
                engine.start()
                self._take(engine)
            except Exception as error:
                self.failure = error
            done()

        threading.Thread(target=work, name="perceptio-load", daemon=True).start()

    def close(self, grace_s: float) -> None:
        """Let the engine finish and go."""
        self.closing = True
        self.decoders.shutdown(wait=False, cancel_futures=True)
        if self._engine is not None:
            self._engine.close(grace_s)

    def _take(self, engine: Engine) -> None:
        self.metrics.follow(engine)
        self._engine = engine


def service_of(request: Request) -> Service:
    """The service of the application that got a request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service
