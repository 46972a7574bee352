"""How a network's pictures are prepared: what the fields of its image processor may hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perceptio.pretrained.fields import FLAG, Field, Fields, choice, number, required, several, whole

# of the channels of pixels from 0 to 1: ImageNet's, CLIP's, and half of all; no trained network has others
_MEANS = ((0.485, 0.456, 0.406), (0.48145466, 0.4578275, 0.40821073), (0.5, 0.5, 0.5))
_DEVIATIONS = ((0.229, 0.224, 0.225), (0.26862954, 0.26130258, 0.27577711), (0.5, 0.5, 0.5))
_NEAR = 1e-3
_SIDE = whole(1, 8192)
_YES = choice(True)  # no network here reads anything but scaled, normalised pictures of its own size


def _one_of(known: Sequence[Sequence[float]]) -> Field:
    channels = several(number(0, 1), 3, 3)

    def holds(value: Any) -> bool:
        return channels.holds(value) and any(
            all(abs(one - other) < _NEAR for one, other in zip(value, each, strict=True)) for each in known
        )

    return Field(" or ".join(str(list(each)) for each in known), holds)


def _is_size(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"height", "width"} and all(map(_SIDE.holds, value.values()))


PICTURE_FIELDS: Fields = {
    "size": required(Field(f"a height and a width, each {_SIDE.must_be}", _is_size)),
    "image_mean": required(_one_of(_MEANS)),
    "image_std": required(_one_of(_DEVIATIONS)),
    "resample": whole(0, 5),
    "rescale_factor": Field("1/255", number(1 / 255 - 1e-6, 1 / 255 + 1e-6).holds),
    "do_resize": _YES,
    "do_rescale": _YES,
    "do_normalize": _YES,
    "do_convert_rgb": FLAG,
}
