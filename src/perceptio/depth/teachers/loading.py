"""A depth network by the name of its folder or on the hub: its config.json says which kind it is."""

from __future__ import annotations

from pathlib import Path

from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.depth.teachers.depth_pro import DepthPro
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.depth.teachers.zoe_depth import ZoeDepth
from perceptio.pretrained.fields import shown
from perceptio.pretrained.folder import ModelError, locate, read_object

TEACHERS: dict[str, type[NetworkTeacher]] = {  # by model_type
    "depth_anything": DepthAnything,
    "zoedepth": ZoeDepth,
    "depth_pro": DepthPro,
}


def teacher_kind(name: str | Path) -> type[NetworkTeacher]:
    """Which teacher a folder or hub id holds.

    Raises:
        ModelError: if there is no such folder, or its network is no known teacher.
    """
    path = locate(name) / "config.json"
    kind = read_object(path).get("model_type")
    if not isinstance(kind, str) or kind not in TEACHERS:
        raise ModelError(
            f"{path}: its model_type {shown(kind)} is no depth network that is known here: name a Depth Anything V2, "
            "a ZoeDepth or a Depth Pro, or write the maps of another network to a folder"
        )
    return TEACHERS[kind]


def load_teacher(name: str | Path, device: str = "cpu") -> NetworkTeacher:
    """A depth network, ready to predict.

    Args:
        name: a folder or hub id, such as `depth-anything/Depth-Anything-V2-Small-hf`.
        device: of the network.

    Raises:
        ValueError: if the network cannot be loaded; the file is named.
    """
    return teacher_kind(name)(name, device)
