"""Masks, depth, clicks and boxes: what may be asked of a picture, and what comes back."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from perceptio.serving.api.schemas.base import Reply, Request, Sparse

SwitchName = Literal["off", "auto", "on"]
MaskForm = Literal["rle", "polygon", "png"]
DepthForm = Literal["png16", "png8", "json"]
Point = Annotated[
    list[float], Field(fail_fast=True, min_length=2, max_length=2, description="x, y in pixels of the upright picture.")
]
Box = Annotated[list[float], Field(fail_fast=True, min_length=4, max_length=4, description="x1, y1, x2, y2 in pixels.")]
Clicks = Annotated[list[Point], Field(fail_fast=True, min_length=1, max_length=64)]
Labels = Annotated[list[Literal[0, 1]], Field(fail_fast=True, min_length=1, max_length=64)]


class Perception(Request):
    """What to perceive, beside the answer's words."""

    masks: SwitchName = Field(
        default="auto", description="Masks of what the question speaks of: auto lets the model decide."
    )
    depth: SwitchName = Field(default="auto", description="A depth map of the picture: auto lets the model decide.")
    points: Clicks | Annotated[list[Clicks], Field(fail_fast=True, min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Clicks on one object, [[x, y], ...], or a list of such, one for each object to be segmented.",
        examples=[[[120, 80]]],
    )
    labels: Labels | Annotated[list[Labels], Field(fail_fast=True, min_length=1, max_length=16)] | None = Field(
        default=None, description="For each point: 1 on the object, 0 beside it; all 1 by default.", examples=[[1]]
    )
    boxes: Box | Annotated[list[Box], Field(fail_fast=True, min_length=1, max_length=16)] | None = Field(
        default=None, description="A box around each object to be segmented.", examples=[[[10, 20, 110, 140]]]
    )
    mask_form: MaskForm = Field(default="rle", alias="return", description="How masks come back.")
    depth_format: DepthForm = Field(
        default="png16", description="How the depth map comes back; json for pictures of at most a megapixel."
    )

    @property
    def clicks(self) -> bool:
        """Whether anything is clicked or boxed."""
        return self.points is not None or self.boxes is not None


class Rle(Reply):
    """COCO's compressed run-length encoding, as pycocotools reads it."""

    size: list[int] = Field(description="Height and width of the picture.", examples=[[224, 224]])
    counts: str = Field(description="The runs, column by column.")


class MaskObject(Sparse):
    """One segmented object; of rle, polygons and png, the one that was asked for."""

    label: str | None = Field(description="The words of the answer it belongs to; null while they are not written yet.")
    score: float = Field(description="0 to 1, how sure the model is of the mask.")
    bbox: list[int] | None = Field(
        description="x1, y1, x2, y2 in pixels, right and bottom exclusive; null of an empty mask.",
        examples=[[12, 30, 96, 122]],
    )
    rle: Rle | None = None
    polygons: list[list[float]] | None = Field(default=None, description="COCO polygons, [x1, y1, x2, y2, ...] each.")
    png: str | None = Field(default=None, description="Base64 of a PNG of one bit a pixel, white on the object.")


class MaskPart(MaskObject):
    """One segmented object of a stream."""

    index: int = Field(description="Its place among all masks, or all that was clicked, of the answer.")


class DepthObject(Reply):
    """Relative inverse depth: 1 is near, 0 is far, no unit, comparable within one picture only."""

    format: DepthForm
    data: str | list[list[float]] = Field(
        description="Base64 of a grey PNG of the picture's size (png16: 65535 is 1, png8: 255 is 1), or its rows."
    )
    codes: list[int] = Field(description="The depth tokens that were written, row by row of the grid.")
    grid: list[int] = Field(description="Rows and columns of the grid of codes.", examples=[[10, 10]])


class Perceived(Reply):
    """What was perceived."""

    image_id: str = Field(description="Of the picture: ask about it again by this id, which costs no second upload.")
    masks: list[MaskObject] = Field(description="Of what the answer speaks of, in its order.")
    clicked: list[MaskObject] = Field(description="Of points and boxes, one for each object.")
    depth: DepthObject | None = Field(description="Null where there was none to be written.")
    absent: bool = Field(description="The model was to segment, and found nothing that fits.")
    timings_ms: dict[str, float] = Field(
        description="Milliseconds by stage.", examples=[{"queue": 1.2, "read": 20.1, "generate": 180.4, "total": 215.0}]
    )
    ignored: list[str] = Field(default=[], description="Settings of the request that have no effect here.")


class PerceivedPart(Sparse):
    """What was perceived, piece by piece: new masks, the depth map when it is done, and at the end the rest."""

    image_id: str | None = None
    masks: list[MaskPart] | None = Field(default=None, description="More masks.")
    clicked: list[MaskPart] | None = None
    depth: DepthObject | None = None
    labels: list[str | None] | None = Field(default=None, description="At the end: of all masks, in their order.")
    absent: bool | None = None
    timings_ms: dict[str, float] | None = None
    ignored: list[str] | None = None
