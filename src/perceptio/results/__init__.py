"""What a user gets back: the answer, its masks, the depth map, a trace of how they came about; and their other forms.

Masks and depth have the size of the original, upright image. Everything here is plain data: numpy arrays, strings and
numbers, no model and no tensors.
"""

from __future__ import annotations

from perceptio.results.answer import ANSWER_FILE, DEPTH_FILE, OVERLAY_FILE, Answer, Trace
from perceptio.results.depth_map import DepthMap
from perceptio.results.mask import Mask

__all__ = ["ANSWER_FILE", "DEPTH_FILE", "OVERLAY_FILE", "Answer", "DepthMap", "Mask", "Trace"]
