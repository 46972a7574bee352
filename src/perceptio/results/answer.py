"""The answer: its text, masks and depth map, and a trace of how they came about."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptio.files import write_files
from perceptio.results.depth_map import DepthMap
from perceptio.results.mask import Mask
from perceptio.results.pictures import png, reduced
from perceptio.results.space import FAR, NEAR

if TYPE_CHECKING:
    from PIL import Image
    from supervision import Detections

    from perceptio.results.point_cloud import PointCloud

OVERLAY_FILE = "overlay.png"
DEPTH_FILE = "depth.png"
ANSWER_FILE = "answer.json"


@dataclass(frozen=True)
class Trace:
    """How an answer came about."""

    raw: str  # the generated tokens as text, control tokens included
    malformed: list[str] = field(default_factory=list)  # deviations from the grammar; empty if well-formed
    seconds: dict[str, float] = field(default_factory=dict)  # time by stage
    tokens: int = 0  # generated tokens
    spatial_tokens: int = 0  # of these, in segmentation tokens and depth spans
    no_target: bool = False  # the model was to segment and found nothing that fits
    ended: bool = True  # the end of text was reached; False: the budget of tokens was spent first

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "raw": self.raw,
            "malformed": list(self.malformed),
            "seconds": {stage: round(float(value), 4) for stage, value in self.seconds.items()},
            "tokens": int(self.tokens),
            "spatial_tokens": int(self.spatial_tokens),
            "no_target": bool(self.no_target),
            "ended": bool(self.ended),
        }


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said and saw."""

    text: str
    masks: list[Mask]  # one for each referred object that was found, in the order of their [SEG] tokens
    depth: DepthMap | None  # None where the model wrote no depth span, or an unreadable one (see the trace)
    trace: Trace
    # the upright picture in RGB, needed to save; a very large original is held reduced by a whole factor
    image: Image.Image | None = field(default=None, repr=False)

    def to_dict(self, depth_file: str | None = None) -> dict[str, Any]:
        """One JSON-safe object: text, masks, depth and the trace. `depth_file` names a written depth picture."""
        return {
            "text": self.text,
            "masks": [mask.to_dict() for mask in self.masks],
            "depth": self.depth.to_dict(depth_file) if self.depth is not None else None,
            **self.trace.to_dict(),
        }

    def to_json(self, depth_file: str | None = None) -> bytes:
        """The content of `answer.json`: `to_dict`, indented, with each list of integers on one line."""
        text = json.dumps(self.to_dict(depth_file), ensure_ascii=False, allow_nan=False, indent=2)
        # strings hold no raw line ends: the pattern spares them
        text = re.sub(r"\[\n\s+(-?\d+(?:,\n\s+-?\d+)*)\n\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)
        return (text + "\n").encode()

    def overlay(self) -> Image.Image:
        """The image with its masks filled, outlined and labelled."""
        from perceptio.visualize import draw_masks

        if self.image is None:
            raise ValueError("this answer holds no image to draw on; pass image= when building it")
        labels = [mask.label(number) for number, mask in enumerate(self.masks, 1)]
        note = "nothing found" if self.trace.no_target and not self.masks else None
        return draw_masks(self.image, [reduced(mask.array, self.image) for mask in self.masks], labels, note=note)

    def html(self, *, question: str = "", title: str = "") -> str:
        """A web page of the answer: the picture, its masks, which the words light up, depth, tokens and times.

        One file without a script; it needs no network. `report.writing_page` makes one page of several answers.

        Args:
            question: that was asked, to stand above the answer.
            title: such as the name of the picture's file.
        """
        from perceptio.results.report import Asked, page_begin, page_end, section

        return page_begin() + section(Asked(self, question, title)) + page_end()

    def save_html(self, path: str | os.PathLike[str], *, question: str = "", title: str = "") -> Path:
        """Write the page of `html` to a file; returns its path.

        Raises:
            OutputError: if the file cannot be written.
        """
        from perceptio.results.report import Asked, writing_page

        with writing_page(path) as add:
            add(Asked(self, question, title))
        return Path(path)

    def _repr_html_(self) -> str:
        """The answer in a notebook."""
        from perceptio.results.report import inline

        return inline(self)

    def to_supervision(self) -> Detections:
        """The masks as `supervision.Detections`; see `supervision.detections`.

        Raises:
            ModuleNotFoundError: if supervision is not installed (`pip install 'perceptio[supervision]'`).
        """
        from perceptio.results.supervision import detections

        return detections(self.masks)

    def point_cloud(self, fov_degrees: float | None = None, *, near: float = NEAR, far: float = FAR) -> PointCloud:
        """The picture as points in space, right only up to an unknown affine change of inverse depth; see `Space`.

        Args:
            fov_degrees: field of view over the longer side; 60 degrees are assumed where it is not said.
            near: distance of the nearest that the map can say (1).
            far: of the farthest (-1), in the same unit. With true distances the points are in that unit too.

        Raises:
            ValueError: if the answer has no depth map or no image, or an argument is out of its range.
        """
        from perceptio.results.point_cloud import point_cloud
        from perceptio.results.space import Space

        depth, image = self._with_depth()
        return point_cloud(reduced(depth.unit, image), image, Space(fov_degrees, near, far))

    def relief(self, fov_degrees: float | None = None, *, near: float = NEAR, far: float = FAR) -> bytes:
        """The picture as a textured mesh with gaps where depth jumps: the content of a GLB file.

        Args and errors as of `point_cloud`; y is up, and the camera at 0 looks along -z.
        """
        from perceptio.results.relief import relief
        from perceptio.results.space import Space

        depth, image = self._with_depth()
        return relief(reduced(depth.unit, image), image, Space(fov_degrees, near, far))

    def _with_depth(self) -> tuple[DepthMap, Image.Image]:
        if self.depth is None:
            raise ValueError('this answer has no depth map; ask with depth="on"')
        if self.image is None:
            raise ValueError("this answer holds no image to colour the points; pass image= when building it")
        return self.depth, self.image

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `overlay.png`, `answer.json` and, if there is depth, `depth.png` into `folder`; returns the folder.

        The folder is made if it is missing and files of these names in it are replaced; a `depth.png` of an earlier
        answer does not outlive it. Either all files are written or none.

        Raises:
            OutputError: if the folder cannot be written.
            ValueError: if the answer holds no image.
        """
        from perceptio.visualize import color_depth

        files = {OVERLAY_FILE: png(self.overlay())}
        if self.depth is not None:
            assert self.image is not None
            files[DEPTH_FILE] = png(color_depth(reduced(self.depth.array, self.image)))
        files[ANSWER_FILE] = self.to_json(DEPTH_FILE if self.depth is not None else None)
        write_files(folder, files)
        if self.depth is None:
            (Path(folder) / DEPTH_FILE).unlink(missing_ok=True)
        return Path(folder)
