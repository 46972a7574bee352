"""Rasterise scenes with OpenGL, without a window: a shaded picture, and exact depth, ids and visible fractions.

The picture is drawn at twice the size and averaged. Labels never come from it: a second pass with one sample in the
centre of each pixel writes view-space depth and instance id as floats. A third pass draws each object alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perceptio.scenes.rendering.context import GlRenderer
from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.tabletop import shaders
from perceptio.scenes.tabletop.geometry import MAX_INSTANCES, Geometry, build_geometry
from perceptio.scenes.tabletop.world import MAX_OBJECTS, Scene

if TYPE_CHECKING:
    pass

NEAR, FAR = 0.05, 40.0  # metres, clipping planes
SHADOW_SIZE = 768  # texels
TILES = (4, 3)  # lone silhouettes a row and a column; holds MAX_OBJECTS
VERTEX_BYTES = 40


def light_matrix(direction: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Return the (4, 4) orthographic matrix of a distant light that just holds `vertices` (V, 3)."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(direction, right), -direction])
    spans = vertices @ axes.T
    low, high = spans.min(0) - 0.05, spans.max(0) + 0.05
    high[2] += 12.0  # receivers behind the last caster stay inside the depth range
    rows = np.eye(4)
    rows[:3, :3] = axes * (2 / (high - low))[:, None]
    rows[:3, 3] = -(high + low) / (high - low)
    return rows


class Renderer(GlRenderer):
    """Draws scenes at one size. Make it in the process that uses it (contexts do not survive a fork).

    Args:
        size: side of the square picture in pixels.

    Raises:
        ValueError: for a size that is not of `SIZES`.
        RendererError: where OpenGL is missing.
    """

    def __init__(self, size: int = 224) -> None:
        super().__init__(size)
        self._margin = size // 4
        self._tile = size + 2 * self._margin
        self._build_programs()
        self._build_targets()

    def render(self, scene: Scene) -> RenderedScene:
        """Draw a scene: picture, depth, ids and visible fractions."""
        geometry = build_geometry(scene)
        self._upload(geometry)
        matrix = scene.camera.clip_matrix(NEAR, FAR)
        rgb = self._draw_color(scene, geometry, matrix)
        depth, ids = self._draw_labels(scene, len(geometry.faces), matrix)
        alone = self._draw_alone(scene, geometry)
        seen = np.bincount(ids.ravel(), minlength=MAX_OBJECTS + 1)
        visible = tuple(float(seen[o.index]) / max(alone[k], 1) for k, o in enumerate(scene.objects))
        return RenderedScene(rgb, depth, ids, visible)

    def _build_programs(self) -> None:
        program = self._gl.program
        fragment = shaders.COLOR_FRAGMENT.replace("MAX_INSTANCES", str(MAX_INSTANCES))
        self._shadow: Any = program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.EMPTY_FRAGMENT)
        self._color: Any = program(vertex_shader=shaders.COLOR_VERTEX, fragment_shader=fragment)
        self._label: Any = program(vertex_shader=shaders.LABEL_VERTEX, fragment_shader=shaders.LABEL_FRAGMENT)
        self._lone: Any = program(
            vertex_shader=shaders.SHADOW_VERTEX.replace("light_matrix", "camera_matrix"),
            fragment_shader=shaders.LONE_FRAGMENT,
        )
        self._mean: Any = program(vertex_shader=shaders.AVERAGE_VERTEX, fragment_shader=shaders.AVERAGE_FRAGMENT)
        self._vertices = self._gl.buffer(reserve=1 << 20)
        self._faces = self._gl.buffer(reserve=1 << 20)
        self._arrays: dict[str, Any] = {}
        self._link()

    def _link(self) -> None:
        layouts = {
            "shadow": (self._shadow, "3f 28x", ("position",)),
            "color": (self._color, "3f 3f 3f 1f", ("position", "normal", "local", "instance")),
            "label": (self._label, "3f 24x 1f", ("position", "instance")),
            "lone": (self._lone, "3f 28x", ("position",)),
        }
        for name, (program, layout, names) in layouts.items():
            self._arrays[name] = self._gl.vertex_array(program, [(self._vertices, layout, *names)], self._faces)
        self._arrays["mean"] = self._gl.vertex_array(self._mean, [])

    def _build_targets(self) -> None:
        gl, side = self._gl, self.size
        big = 2 * side
        self._large = gl.texture((big, big), 4)
        self._large.filter = (gl.LINEAR, gl.LINEAR)
        self._large_target = gl.framebuffer([self._large], gl.depth_renderbuffer((big, big)))
        self._small_target = gl.framebuffer([gl.renderbuffer((side, side), 4)])
        self._label_target = gl.framebuffer(
            [gl.renderbuffer((side, side), 2, dtype="f4")], gl.depth_renderbuffer((side, side))
        )
        lone = (TILES[0] * self._tile, TILES[1] * self._tile)
        self._lone_target = gl.framebuffer([gl.renderbuffer(lone, 1)])
        self._shadow_map = gl.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = (gl.LINEAR, gl.LINEAR)
        self._shadow_target = gl.framebuffer(depth_attachment=self._shadow_map)

    def _upload(self, geometry: Geometry) -> None:
        vertices, faces = geometry.vertices.tobytes(), geometry.faces.tobytes()
        if len(vertices) > self._vertices.size or len(faces) > self._faces.size:
            for array in self._arrays.values():
                array.release()
            self._vertices = self._gl.buffer(reserve=max(2 * len(vertices), self._vertices.size))
            self._faces = self._gl.buffer(reserve=max(2 * len(faces), self._faces.size))
            self._link()
        self._vertices.write(vertices)
        self._faces.write(faces)

    def _draw_color(self, scene: Scene, geometry: Geometry, matrix: np.ndarray) -> np.ndarray:
        gl, program = self._gl, self._color
        key = next((light for light in scene.lights if light.shadows), scene.lights[0])
        fill = next((light for light in scene.lights if light is not key), None)
        light = light_matrix(np.array(key.direction), geometry.vertices[: geometry.caster_vertices, :3])

        gl.enable_only(gl.DEPTH_TEST)
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        gl.polygon_offset = 2.0, 2.0
        self._shadow["light_matrix"].write(_bytes(light.T))
        self._arrays["shadow"].render(vertices=3 * geometry.casters)
        gl.polygon_offset = 0.0, 0.0

        blockers = np.zeros((MAX_OBJECTS, 4), np.float32)
        for k, thing in enumerate(scene.objects):
            blockers[k] = (*thing.position, 0.46 * thing.scale)
        table = np.zeros((MAX_INSTANCES, 4), np.float32)
        table[: len(geometry.table)] = geometry.table
        scale = np.linalg.norm(light[:2, :3], axis=1)  # map halves a metre
        program["camera_matrix"].write(_bytes(matrix.T))
        program["light_matrix"].write(_bytes(light.T))
        program["eye"] = scene.camera.position
        program["key_direction"], program["key_color"] = key.direction, key.rgb
        program["fill_direction"] = fill.direction if fill else (0.0, 0.0, 1.0)
        program["fill_color"] = fill.rgb if fill else (0.0, 0.0, 0.0)
        program["ambient"] = scene.ambient
        program["room"] = (scene.room.width, scene.room.length, scene.room.height)
        program["pattern"] = scene.room.pattern
        program["shadow_texel"] = tuple(0.5 * 0.028 * scale)
        program["blockers"] = len(scene.objects)
        program["blocker"].write(blockers.tobytes())
        program["table"].write(table.tobytes())
        self._large_target.use()
        self._large_target.clear(depth=1.0)
        self._shadow_map.use(0)
        gl.enable_only(gl.DEPTH_TEST | gl.CULL_FACE)
        gl.front_face = "cw"  # clip y points down
        self._arrays["color"].render(vertices=3 * len(geometry.faces))

        gl.enable_only(gl.NOTHING)
        self._small_target.use()
        self._large.use(0)
        self._arrays["mean"].render(vertices=3)
        raw = self._small_target.read(components=3, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(self.size, self.size, 3)

    def _draw_labels(self, scene: Scene, faces: int, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gl, program = self._gl, self._label
        program["camera_matrix"].write(_bytes(matrix.T))
        program["depth_row"] = tuple(matrix[3])
        program["objects"] = float(len(scene.objects))
        gl.enable_only(gl.DEPTH_TEST)
        self._label_target.use()
        self._label_target.clear(depth=1.0)
        self._arrays["label"].render(vertices=3 * faces)
        raw = np.frombuffer(self._label_target.read(components=2, dtype="f4"), np.float32)
        labels = raw.reshape(self.size, self.size, 2)
        return np.ascontiguousarray(labels[..., 0]), labels[..., 1].astype(np.uint8)

    def _draw_alone(self, scene: Scene, geometry: Geometry) -> list[int]:
        """Count the pixels of every object as if nothing else were there, a margin around the frame included."""
        gl, tile = self._gl, self._tile
        self._lone["camera_matrix"].write(_bytes(scene.camera.clip_matrix(NEAR, FAR, zoom=self.size / tile).T))
        gl.enable_only(gl.NOTHING)
        self._lone_target.use()
        self._lone_target.clear()
        columns = TILES[0]
        for k, (start, stop) in enumerate(zip(geometry.first_face, geometry.first_face[1:], strict=False)):
            self._lone_target.viewport = (k % columns * tile, k // columns * tile, tile, tile)
            self._arrays["lone"].render(first=3 * start, vertices=3 * (stop - start))
        self._lone_target.viewport = (0, 0, TILES[0] * tile, TILES[1] * tile)
        raw = np.frombuffer(self._lone_target.read(components=1, alignment=1), np.uint8)
        tiles = raw.reshape(TILES[1] * tile, TILES[0] * tile)
        counts = []
        for k in range(len(scene.objects)):
            y, x = k // columns * tile, k % columns * tile
            counts.append(int(np.count_nonzero(tiles[y : y + tile, x : x + tile])))
        return counts


def _bytes(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix, np.float32).tobytes()
