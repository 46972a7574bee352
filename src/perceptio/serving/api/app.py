"""The application: routes, their guards, and the description in /openapi.json."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from sse_starlette.sse import AppStatus
from starlette.middleware.cors import CORSMiddleware

from perceptio import __version__
from perceptio.serving.api import chat, health, images, models, perceive
from perceptio.serving.api.bodies import definitions
from perceptio.serving.api.errors import install_handlers
from perceptio.serving.api.gate import Gate
from perceptio.serving.api.keys import check_key
from perceptio.serving.api.schemas.chat_reply import ChatCompletionChunk
from perceptio.serving.api.schemas.chat_request import ChatRequest
from perceptio.serving.api.schemas.images import ImageUpload
from perceptio.serving.api.schemas.perceive import PerceiveRequest
from perceptio.serving.api.service import Service
from perceptio.serving.api.watch import Watch

_ABOUT = """Ask a picture a question; get the answer with its masks and its depth map.

`/v1/chat/completions` and `/v1/models` are OpenAI's; `/v1/perceive` and `/v1/images` are typed routes of our own.
"""

_UNKNOWN = (ChatRequest, ChatCompletionChunk, PerceiveRequest, ImageUpload)  # to FastAPI: the routes deal with them


def create_app(service: Service) -> FastAPI:
    """The application over a service, whose engine may still be loading."""
    AppStatus.disable_automatic_graceful_drain()  # streams end with their answers, at a shutdown too
    app = _Application(
        title="Perceptio",
        version=__version__,
        description=_ABOUT,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,  # one description of each object
    )
    app.state.service = service
    app.include_router(health.router)
    for each in (models, chat, perceive, images):
        app.include_router(each.router, dependencies=[Depends(check_key)])
    install_handlers(app)
    app.add_middleware(Gate, settings=service.settings)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )
    app.add_middleware(Watch, service=service)  # the outermost
    return app


class _Application(FastAPI):
    """FastAPI's, with a description of the models that the routes read and write by themselves."""

    def openapi(self) -> dict[str, Any]:
        """The description."""
        if not self.openapi_schema:
            schema = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            schema["components"]["schemas"].update(definitions(*_UNKNOWN))
            open_to_all = self.state.service.settings.api_key is None
            for operation in (each for path in schema["paths"].values() for each in path.values()):
                operation["responses"].pop("422", None)  # FastAPI's own, which no route gives
                if open_to_all:
                    operation.pop("security", None)
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
            if open_to_all:
                del schema["components"]["securitySchemes"]
            self.openapi_schema = schema
        return self.openapi_schema
