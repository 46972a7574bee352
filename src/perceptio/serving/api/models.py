"""`/v1/models`."""

from __future__ import annotations

from fastapi import APIRouter, Request

from perceptio.serving.api.errors import ApiError, documented
from perceptio.serving.api.schemas.models import Model, ModelList
from perceptio.serving.api.service import Service, service_of

router = APIRouter(tags=["models"])


@router.get("/v1/models", summary="Which model is served", responses=documented(401, 403, 503))
async def list_models(request: Request) -> ModelList:
    """A list of one."""
    return ModelList(data=[_model(service_of(request))])


@router.get("/v1/models/{model:path}", summary="The model of a name", responses=documented(401, 403, 404, 503))
async def get_model(request: Request, model: str) -> Model:
    """The model, if it is the one that is served."""
    service = service_of(request)
    check_model(service, model)
    return _model(service)


def check_model(service: Service, name: str) -> None:
    """Refuse a model that is not served.

    Raises:
        ApiError: 404.
    """
    if name != service.model_name:
        message = f"there is no model {name[:100]!r} here: this server has {service.model_name!r}"
        raise ApiError(404, message, "model_not_found", "model")


def _model(service: Service) -> Model:
    return Model(id=service.model_name, created=service.created)
