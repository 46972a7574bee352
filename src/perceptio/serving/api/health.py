"""Whether the server lives, whether it is ready, and what it has counted."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field
from starlette.responses import PlainTextResponse, Response

from perceptio.serving.api.errors import ApiError, documented
from perceptio.serving.api.keys import check_key
from perceptio.serving.api.schemas.base import Reply
from perceptio.serving.api.service import service_of

router = APIRouter(tags=["health"])


class Health(Reply):
    """The server lives."""

    status: Literal["ok"] = "ok"


class Readiness(Reply):
    """The server answers questions."""

    status: Literal["ready"] = "ready"
    model: str
    waiting: int = Field(description="Questions in the queue.")
    running: int = Field(description="Questions that are being answered.")
    pictures: int = Field(description="Pictures that are kept.")


@router.get("/healthz", summary="Whether the process lives", responses=documented(403))
async def healthz() -> Health:
    """Always ok, while the model loads too."""
    return Health()


@router.get("/readyz", summary="Whether questions are answered", responses=documented(403, 503))
async def readyz(request: Request) -> Readiness:
    """503 while the model loads, and when the server closes."""
    service = service_of(request)
    load = service.engine.workload()
    if not service.ready:
        raise ApiError(503, "the server is closing", "closing")
    return Readiness(model=service.model_name, waiting=load.waiting, running=load.running, pictures=load.pictures)


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_class=PlainTextResponse,
    responses=documented(401, 403),
    dependencies=[Depends(check_key)],
)
async def metrics(request: Request) -> Response:
    """Requests by route and status, seconds, batch sizes, the queue, refusals, pictures, tokens."""
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
