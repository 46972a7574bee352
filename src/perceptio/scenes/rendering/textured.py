"""Draw textured models and pieces with OpenGL: light with shadows, a camera's finish, and exact labels.

As in the table-top renderer, labels come from a pass of their own with one sample in the centre of each pixel; cut-out
textures are decided by their nearest texel in every pass, so that picture, labels and silhouettes agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.rendering import textured_shaders as shaders
from perceptio.scenes.rendering.context import GlRenderer
from perceptio.scenes.rendering.drawing import (
    MOST_LAMPS,
    MOST_MATERIALS,
    NEVER_MARKED,
    SKY_DEPTH,
    Cover,
    Drawing,
    Placed,
    Sun,
)
from perceptio.scenes.rendering.finish import finish_picture
from perceptio.scenes.rendering.parts import Parts
from perceptio.scenes.rendering.rendered import RenderedScene

SHADOW_SIZE = 768  # texels
MOST_SURFACES = 512
_LONE_ROWS = 8  # lone silhouettes a row and a column
_IDENTITY = np.eye(4)

Accept = Callable[[np.ndarray, np.ndarray], bool]


class TexturedRenderer(GlRenderer):
    """Draws `Drawing`s at one size. Make it in the process that uses it (contexts do not survive a fork).

    Args:
        pack: the models and surface pictures; they are moved to the device once.
        size: side of the square picture in pixels.

    Raises:
        ValueError: for a size that is not of `SIZES`.
        RendererError: where OpenGL is missing.
    """

    def __init__(self, pack: Pack, size: int = 224) -> None:
        super().__init__(size)
        assert len(pack.surfaces) <= MOST_SURFACES, len(pack.surfaces)
        self.pack = pack
        self._tile = max(size * 3 // 4, 16)  # half the size, with a margin of half around the frame
        self._radius = [0.5 * math.hypot(*model.size) for model in pack.models]
        self._height = [0.5 * model.size[2] for model in pack.models]
        self._build_programs()
        self._load_pack()
        self._build_targets()

    def render(self, drawing: Drawing, accept: Accept | None = None) -> RenderedScene | None:
        """Draw a picture with its truth; `visible` is in order of the indices 1, 2, ... up to the greatest one.

        Args:
            drawing: what to draw.
            accept: looks at depth (H, W) and ids (H, W) before the light is computed, the slow part; where it says no,
                the picture is not drawn.

        Returns:
            None where it was not accepted.
        """
        with self._gl:  # another renderer of this process may have been at work
            return self._drawn(drawing, accept)

    def _drawn(self, drawing: Drawing, accept: Accept | None) -> RenderedScene | None:
        parts = Parts(drawing)
        self._upload(drawing, parts)
        matrix = drawing.camera.clip_matrix(drawing.near, drawing.far)
        placed = [(each, _bytes(each.matrix.T)) for each in self._in_view(drawing)]
        depth, ids = self._draw_labels(drawing, placed, parts, matrix)
        if accept is not None and not accept(depth, ids):
            return None
        visible = self._visible(drawing, placed, parts, ids)
        self._draw_light(drawing, placed, parts, matrix)
        return RenderedScene(finish_picture(self._finish(drawing), drawing.finish), depth, ids, visible)

    def _build_programs(self) -> None:
        def program(vertex: str, fragment: str) -> Any:
            return self._gl.program(vertex_shader=vertex, fragment_shader=fragment)

        self._programs: dict[str, Any] = {
            "shadow": program(shaders.FLAT_VERTEX, shaders.SHADOW_FRAGMENT),
            "label": program(shaders.FLAT_VERTEX, shaders.LABEL_FRAGMENT),
            "lone": program(shaders.FLAT_VERTEX, shaders.LONE_FRAGMENT),
            "color": program(shaders.COLOR_VERTEX, shaders.COLOR_FRAGMENT),
            "sky": program(shaders.WHOLE_VERTEX, shaders.SKY_FRAGMENT),
            "finish": program(shaders.FINISH_VERTEX, shaders.FINISH_FRAGMENT),
        }
        units = {"materials": 0, "textures": 1, "surfaces": 2, "shadow_map": 3, "large": 0, "labels": 1}
        for each in self._programs.values():
            for name, unit in units.items():
                if name in each:
                    each[name] = unit

    def _load_pack(self) -> None:
        gl, pack = self._gl, self.pack
        vertices = np.concatenate(
            [pack.positions, pack.normals, pack.uv, pack.material[:, None].astype(np.float32)], 1, dtype=np.float32
        )
        models, faces = gl.buffer(vertices.tobytes()), gl.buffer(pack.indices.astype(np.uint32).tobytes())
        self._pieces = gl.buffer(reserve=4 << 20)
        self._arrays: dict[str, Any] = {}
        for name in ("shadow", "label", "lone", "color"):
            program = self._programs[name]
            if name == "color":
                content = [(models, "3f 3f 2f 1f", "position", "normal", "uv", "material"), (models, "3f 24x", "local")]
            else:
                content = [(models, "3f 12x 2f 1f", "position", "uv", "material")]
            self._arrays[f"{name} models"] = gl.vertex_array(program, content, faces)
        self._link_pieces()
        self._arrays["sky"] = gl.vertex_array(self._programs["sky"], [])
        self._arrays["finish"] = gl.vertex_array(self._programs["finish"], [])

        self._own_materials = len(pack.materials)  # rows of the pack; those of a drawing's pieces come after
        table = np.zeros((self._own_materials + MOST_MATERIALS, 3, 4), np.float32)
        table[:, 1, :2] = -1
        table[: self._own_materials, 0, :3] = pack.materials[:, :3]
        table[: self._own_materials, 0, 3] = 0.8 * pack.materials[:, 4]
        table[: self._own_materials, 1, 0] = pack.materials[:, 3]
        self._table = gl.texture((3, len(table)), 4, table.tobytes(), dtype="f4")
        self._table.filter = (gl.NEAREST, gl.NEAREST)
        self._textures = self._pictures(pack.textures, 4)
        self._surfaces = self._pictures(pack.surface_images, 3)
        means = np.zeros((MOST_SURFACES, 3), np.float32)
        means[: len(pack.surface_images)] = [_linear(picture).mean((0, 1)) for picture in pack.surface_images]
        self._programs["color"]["mean_rgb"].write(means.tobytes())

    def _link_pieces(self) -> None:
        for name in ("shadow", "label", "lone", "color"):
            key = f"{name} pieces"
            if key in self._arrays:
                self._arrays[key].release()
            content = (
                (self._pieces, "3f 3f 3f 2f 1f", "position", "normal", "local", "uv", "material")
                if name == "color"
                else (self._pieces, "3f 24x 2f 1f", "position", "uv", "material")
            )
            self._arrays[key] = self._gl.vertex_array(self._programs[name], [content])

    def _pictures(self, pictures: np.ndarray, channels: int) -> Any:
        gl = self._gl
        if not len(pictures):
            pictures = np.full((1, 1, 1, channels), 255, np.uint8)
        count, height, width = pictures.shape[:3]
        array = gl.texture_array(
            (width, height, count), channels, np.ascontiguousarray(pictures).tobytes(), alignment=1
        )
        array.build_mipmaps()
        array.filter = (gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR)
        return array

    def _build_targets(self) -> None:
        gl, side = self._gl, self.size
        big = 2 * side
        self._large = gl.texture((big, big), 4, dtype="f2")
        self._large.filter = (gl.NEAREST, gl.NEAREST)
        self._large_target = gl.framebuffer([self._large], gl.depth_renderbuffer((big, big)))
        self._labels = gl.texture((side, side), 2, dtype="f4")
        self._labels.filter = (gl.NEAREST, gl.NEAREST)
        self._label_target = gl.framebuffer([self._labels], gl.depth_renderbuffer((side, side)))
        self._small_target = gl.framebuffer([gl.renderbuffer((side, side), 4)])
        lone = _LONE_ROWS * self._tile
        self._lone_target = gl.framebuffer([gl.renderbuffer((lone, lone), 1)])
        self._shadow_map = gl.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = (gl.LINEAR, gl.LINEAR)
        self._shadow_target = gl.framebuffer(depth_attachment=self._shadow_map)

    def _upload(self, drawing: Drawing, parts: Parts) -> None:
        raw = parts.vertices.tobytes()
        if len(raw) > self._pieces.size:
            self._pieces = self._gl.buffer(reserve=2 * len(raw))
            self._link_pieces()
        if raw:
            self._pieces.write(raw)
        rows = np.zeros((MOST_MATERIALS, 3, 4), np.float32)
        rows[:, 1, :2] = -1
        for row, material in zip(rows, drawing.materials, strict=False):
            row[0] = (*material.rgb, material.gloss)
            if material.cover is not None:
                row[1, 1:] = (material.cover.layer, material.cover.repeats, material.cover.strength)
            row[2, :3] = material.glow, material.pattern, material.pattern_scale
        self._table.write(rows.tobytes(), viewport=(0, self._own_materials, 3, MOST_MATERIALS))

    def _in_view(self, drawing: Drawing) -> Iterable[Placed]:
        """The models whose bounding spheres reach into the picture."""
        camera = drawing.camera
        eye, (right, down, forward) = np.array(camera.position), np.array(camera.axes())
        tangent = math.tan(math.radians(camera.fov) / 2)
        stretch = math.hypot(1.0, tangent)
        for each in drawing.placed:
            scale = float(np.linalg.norm(each.matrix[:3, 2]))
            center = each.matrix[:3, 3] + each.matrix[:3, 2] * self._height[each.model] - eye
            radius, z = self._radius[each.model] * scale, float(forward @ center)
            reach = tangent * z + stretch * radius
            if z > -radius and abs(float(right @ center)) < reach and abs(float(down @ center)) < reach:
                yield each

    def _draw_models(self, name: str, placed: Sequence[tuple[Placed, bytes]], color: bool = False) -> None:
        program, array = self._programs[name], self._arrays[f"{name} models"]
        program["first_material"] = 0
        for each, matrix in placed:
            model = self.pack.models[each.model]
            program["model"].write(matrix)
            if "ident" in program:
                program["ident"] = float(each.index)
            if color:
                program["tint"], program["cover"] = each.tint, _cover(each.cover)
            array.render(vertices=model.indices, first=model.first_index)

    def _draw_pieces(self, name: str, ranges: Sequence[tuple[int, int, int]]) -> None:
        program, array = self._programs[name], self._arrays[f"{name} pieces"]
        program["first_material"] = self._own_materials
        program["model"].write(_bytes(_IDENTITY))
        for first, count, index in ranges:
            if "ident" in program:
                program["ident"] = float(index)
            array.render(vertices=count, first=first)

    def _use_pictures(self) -> None:
        self._table.use(0)
        self._textures.use(1)
        self._surfaces.use(2)

    def _draw_labels(
        self, drawing: Drawing, placed: Sequence[tuple[Placed, bytes]], parts: Parts, matrix: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        gl, program = self._gl, self._programs["label"]
        self._use_pictures()
        gl.enable_only(gl.DEPTH_TEST)
        self._label_target.use()
        self._label_target.clear(red=SKY_DEPTH, green=float(NEVER_MARKED), depth=1.0)
        program["camera"].write(_bytes(matrix.T))
        program["depth_row"] = tuple(matrix[3])
        self._draw_models("label", placed)
        self._draw_pieces("label", parts.ranges)
        raw = np.frombuffer(self._label_target.read(components=2, dtype="f4"), np.float32)
        labels = raw.reshape(self.size, self.size, 2)
        return np.ascontiguousarray(labels[..., 0]), labels[..., 1].astype(np.uint8)

    def _visible(
        self, drawing: Drawing, placed: Sequence[tuple[Placed, bytes]], parts: Parts, ids: np.ndarray
    ) -> tuple[float, ...]:
        """Per index, the share of its silhouette (a margin around the frame included) that is seen.

        Each thing that is seen at all is drawn alone, at half the size of the picture.
        """
        gl, tile, program = self._gl, self._tile, self._programs["lone"]
        indices = [each.index for each in drawing.placed] + [each.index for each in drawing.pieces]
        last = max((index for index in indices if index != NEVER_MARKED), default=0)
        seen = np.bincount(ids.ravel(), minlength=256)
        wanted = [index for index in range(1, last + 1) if seen[index]][: _LONE_ROWS**2]
        self._use_pictures()
        gl.enable_only(gl.NOTHING)
        side, used = _LONE_ROWS * tile, -(-len(wanted) // _LONE_ROWS) * tile  # px, of which the lower part is used
        self._lone_target.use()
        self._lone_target.clear(viewport=(0, 0, side, used))
        program["camera"].write(_bytes(drawing.camera.clip_matrix(drawing.near, drawing.far, self.size / 2 / tile).T))
        alone = {}
        for number, index in enumerate(wanted):
            place = (number % _LONE_ROWS * tile, number // _LONE_ROWS * tile, tile, tile)
            self._lone_target.viewport = place
            self._draw_models("lone", [pair for pair in placed if pair[0].index == index])
            self._draw_pieces("lone", [span for span in parts.ranges if span[2] == index])
            alone[index] = place
        raw = self._lone_target.read(viewport=(0, 0, side, used), components=1, alignment=1) if wanted else b""
        seen_alone = np.frombuffer(raw, np.uint8).reshape(used, side)
        whole = {index: 4 * np.count_nonzero(seen_alone[y : y + h, x : x + w]) for index, (x, y, w, h) in alone.items()}
        return tuple(min(1.0, seen[index] / max(whole.get(index, 0), 1)) for index in range(1, last + 1))

    def _draw_light(
        self, drawing: Drawing, placed: Sequence[tuple[Placed, bytes]], parts: Parts, matrix: np.ndarray
    ) -> None:
        gl, program, sun = self._gl, self._programs["color"], drawing.sun
        light = _sun_matrix(sun)
        self._use_pictures()
        if max(sun.rgb) > 0:
            self._draw_shadows(drawing, parts, light)
        self._shadow_map.use(3)
        gl.enable_only(gl.DEPTH_TEST)
        self._large_target.use()
        self._large_target.clear(depth=1.0)
        window = drawing.window
        soft = sun.softness / sun.reach
        values: dict[str, Any] = {
            "eye": drawing.camera.position,
            "sun_direction": sun.direction,
            "sun_rgb": sun.rgb,
            "sky_light": drawing.sky_light,
            "ground_light": drawing.ground_light,
            "push": 0.012 if sun.reach < 12 else 0.04,
            "softness": (soft, soft),
            "has_window": window is not None,
            "lamps": len(drawing.lamps),
            "tint": (1.0, 1.0, 1.0),
            "cover": _cover(None),
        }
        if window is not None:
            values |= {
                "window_center": window.center,
                "window_normal": window.normal,
                "window_across": window.across,
                "window_half": window.half,
                "window_rgb": window.rgb,
            }
        for name, value in values.items():
            program[name] = value
        lamps = np.zeros((2, MOST_LAMPS, 3), np.float32)
        for number, lamp in enumerate(drawing.lamps):
            lamps[:, number] = lamp.position, lamp.rgb
        program["lamp_position"].write(lamps[0].tobytes())
        program["lamp_rgb"].write(lamps[1].tobytes())
        program["camera"].write(_bytes(matrix.T))
        program["sun_matrix"].write(_bytes(light.T))
        eye = np.array(drawing.camera.position)  # near things first: what they hide is not shaded
        nearest = sorted(placed, key=lambda pair: float(np.linalg.norm(pair[0].matrix[:3, 3] - eye)))
        self._draw_models("color", nearest, color=True)
        self._draw_pieces("color", [(0, len(parts.vertices), 0)] if len(parts.vertices) else [])
        if drawing.sky is not None:
            self._draw_sky(drawing)

    def _draw_shadows(self, drawing: Drawing, parts: Parts, light: np.ndarray) -> None:
        gl, sun = self._gl, drawing.sun
        gl.enable_only(gl.DEPTH_TEST)
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        gl.polygon_offset = 2.0, 2.0
        self._programs["shadow"]["camera"].write(_bytes(light.T))
        focus = np.array(sun.focus)
        near = [
            (each, _bytes(each.matrix.T))
            for each in drawing.placed
            if np.linalg.norm(each.matrix[:3, 3] - focus) < 2.5 * sun.reach + self._radius[each.model]
        ]
        self._draw_models("shadow", near)
        self._draw_pieces("shadow", parts.casters)
        gl.polygon_offset = 0.0, 0.0

    def _draw_sky(self, drawing: Drawing) -> None:
        gl, program, sky = self._gl, self._programs["sky"], drawing.sky
        assert sky is not None
        right, down, forward = drawing.camera.axes()
        values = {
            "right": right,
            "down": down,
            "forward": forward,
            "slope": math.tan(math.radians(drawing.camera.fov) / 2),
            "zenith": sky.zenith,
            "horizon": sky.horizon,
            "cloud_rgb": sky.cloud_rgb,
            "clouds": sky.clouds,
            "offset": sky.offset,
            "layer": float(sky.layer),
            "sun_direction": drawing.sun.direction,
            "sun_rgb": drawing.sun.rgb,
        }
        for name, value in values.items():
            program[name] = value
        gl.depth_func = "<="
        self._arrays["sky"].render(vertices=3)
        gl.depth_func = "<"

    def _finish(self, drawing: Drawing) -> np.ndarray:
        gl, program, finish = self._gl, self._programs["finish"], drawing.finish
        values = {
            "exposure": finish.exposure,
            "slope": math.tan(math.radians(drawing.camera.fov) / 2),
            "occlusion": finish.occlusion,
            "radius": finish.occlusion_radius,
            "haze": finish.haze,
            "haze_rgb": finish.haze_rgb,
            "white": finish.white,
            "contrast": finish.contrast,
            "saturation": finish.saturation,
            "vignette": finish.vignette,
        }
        for name, value in values.items():
            program[name] = value
        gl.enable_only(gl.NOTHING)
        self._small_target.use()
        self._large.use(0)
        self._labels.use(1)
        self._arrays["finish"].render(vertices=3)
        raw = self._small_target.read(components=3, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(self.size, self.size, 3)


def _cover(cover: Cover | None) -> tuple[float, float, float]:
    return (-1.0, 1.0, 0.0) if cover is None else (float(cover.layer), cover.repeats, cover.strength)


def _sun_matrix(sun: Sun) -> np.ndarray:
    """The (4, 4) orthographic matrix from the world to the shadow map."""
    direction = np.array(sun.direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(direction, right), -direction])
    half = np.array([sun.reach, sun.reach, 2.5 * sun.reach])
    rows = np.eye(4)
    rows[:3, :3] = axes / half[:, None]
    rows[:3, 3] = -(axes @ np.array(sun.focus)) / half
    return rows


def _linear(picture: np.ndarray) -> np.ndarray:
    return (picture.astype(np.float32) / 255) ** 2.2


def _bytes(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix, np.float32).tobytes()
