"""`/v1/images`: a picture is uploaded once, perceived once and asked about often."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request

from perceptio.serving.api.bodies import (
    FORM_TYPE,
    JSON_TYPE,
    documented_body,
    form_schema,
    media_type,
    read_form,
    read_json,
)
from perceptio.serving.api.errors import ApiError, documented
from perceptio.serving.api.schemas.images import DeletedImage, ImageUpload, StoredImage
from perceptio.serving.api.service import service_of
from perceptio.serving.api.sources import find_picture, store
from perceptio.serving.engine import StoredPicture

ImageId = Annotated[str, Path(description="As an upload has given it.", examples=["img_" + "0123456789abcdef" * 2])]

router = APIRouter(tags=["images"])


@router.post(
    "/v1/images",
    summary="Upload a picture",
    responses=documented(400, 401, 403, 404, 408, 413, 415, 429, 500, 503),
    openapi_extra=documented_body({JSON_TYPE: ImageUpload, FORM_TYPE: form_schema(ImageUpload, "image", ())}),
)
async def upload(request: Request) -> StoredImage:
    """Keep a picture for questions; it is forgotten when nobody has asked about it for a while, or others need room."""
    service = service_of(request)
    if media_type(request) != FORM_TYPE:
        asked = await read_json(request, ImageUpload)
        return _stored(await find_picture(service, asked.image, "image"))
    form = await read_form(request, "image")
    unknown = next(iter(form.fields), None)
    if unknown is not None and unknown != "image":
        raise ApiError(400, f"unknown field: {unknown}", "unknown_parameter", unknown)
    if (form.file is None) == (unknown is None):
        raise ApiError(400, "send one image: a file, or the text that names one", "invalid_value", "image")
    if form.file is not None:
        return _stored(await store(service, form.file))
    return _stored(await find_picture(service, form.fields["image"], "image"))


@router.get("/v1/images/{image_id}", summary="What is known of a picture", responses=documented(401, 403, 404, 503))
async def describe(request: Request, image_id: ImageId) -> StoredImage:
    """Its size, and how long it is kept."""
    return _stored(service_of(request).engine.picture(image_id))


@router.delete("/v1/images/{image_id}", summary="Forget a picture", responses=documented(401, 403, 404, 503))
async def forget(request: Request, image_id: ImageId) -> DeletedImage:
    """Questions that are being answered about it are answered."""
    if not service_of(request).engine.forget(image_id):
        raise ApiError(404, "there is no picture of this id, or it is kept no longer", "image_not_found", "image_id")
    return DeletedImage(id=image_id, deleted=True)


def _stored(picture: StoredPicture) -> StoredImage:
    width, height = picture.size
    return StoredImage(id=picture.id, width=width, height=height, expires_in=picture.expires_s)
