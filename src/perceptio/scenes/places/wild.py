"""Wild scenes: any thing of any size, turned any way, floats in a room or a street.

They teach shape and occlusion where everyday scenes let the ground tell depth (as WMGStereo found for stereo).
"""

from __future__ import annotations

import math

import numpy as np

from perceptio.scenes.camera import Camera
from perceptio.scenes.places.outdoors import build_garden, build_street, light_outdoors
from perceptio.scenes.places.room import build_room, camera_in_room, light_room
from perceptio.scenes.places.solids import Solid
from perceptio.scenes.places.stage import Stage
from perceptio.scenes.rendering.drawing import Drawing

_ROLES = ("floor", "wallside", "small", "wall", "ceiling", "person", "animal", "tree", "plant", "vehicle", "street")


def draw_wild(stage: Stage) -> tuple[str, Drawing] | None:
    """A room or street, nearly empty, with things in the air; None where no place for the camera was found."""
    rng = stage.rng
    if rng.random() < 0.5:
        place, shell = build_room(stage, furnished=rng.random() < 0.3)
        camera = camera_in_room(stage, shell)
        if camera is None:
            return None
        farthest = math.hypot(shell.width, shell.length)
        _scatter(stage, camera, 0.7, 0.8 * farthest)
        return place, light_room(stage, shell, camera)
    if rng.random() < 0.5:
        build_street(stage)
        place = "street"
    else:
        build_garden(stage)
        place = "garden"
    yaw = rng.choice((0.0, math.pi)) + rng.gauss(0, 0.6)
    eye = (rng.uniform(-4, 4), rng.uniform(-3, 3), math.exp(rng.uniform(math.log(0.6), math.log(8.0))))
    target = (eye[0] + math.cos(yaw), eye[1] + math.sin(yaw), eye[2] + rng.gauss(0, 0.25))
    camera = Camera(eye, target, rng.uniform(30, 74), rng.gauss(0, 0.1), "any")
    _scatter(stage, camera, 1.5, 40.0)
    return place, light_outdoors(stage, camera)


def _scatter(stage: Stage, camera: Camera, near: float, far: float) -> None:
    """Things by a place of the picture and a depth that it says nothing about."""
    rng, inventory = stage.rng, stage.inventory
    right, down, forward = (np.array(axis) for axis in camera.axes())
    tangent = math.tan(math.radians(camera.fov) / 2)
    models = inventory.of(*_ROLES)
    for _ in range(rng.randint(7, 18)):
        model = inventory.pick(rng, models)
        assert model is not None
        u, v = rng.uniform(-0.95, 0.95), rng.uniform(-0.95, 0.95)
        depth = math.exp(rng.uniform(math.log(near), math.log(far)))
        share = rng.uniform(0.12, 0.5)  # of the picture's side
        scale = share * 2 * depth * tangent / max(model.size)
        x, y, z = np.array(camera.position) + depth * (forward + tangent * (u * right + v * down))
        solid = stage.fits(model, (float(x), float(y), float(z) - 0.5 * scale * model.size[2]), 0.0, scale)
        turned = Solid(solid.foot, solid.size, rng.uniform(0, math.tau))
        if turned.foot[2] > 0.02 and stage.site.free(turned, 0.02):
            stage.put(model, turned, "air", recolor=0.5)
