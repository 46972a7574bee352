"""An OpenGL context without a display, and what to install where there is none."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import moderngl

GL_HELP = (
    "rendering needs OpenGL without a display (EGL), which this machine lacks; install it with: "
    "apt-get install -y libegl1 libgl1 libgl1-mesa-dri"
)
SIZES = range(16, 2048 + 1)  # px, sides of pictures: the silhouettes take six sides, and drivers have 16384 px


class RendererError(OSError):
    """OpenGL is missing or unusable; the message says what to install."""


def check_size(size: int) -> None:
    """Refuse a side of a picture that cannot be drawn.

    Raises:
        ValueError: for a size that is not of `SIZES`.
    """
    if size not in SIZES:
        raise ValueError(f"size must be between {SIZES[0]} and {SIZES[-1]} pixels, not {size}")


def open_context() -> moderngl.Context:
    """Make a context in the process that uses it: contexts do not survive a fork.

    Raises:
        RendererError: where OpenGL is missing.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software driver: one process a core, no threads
    import moderngl

    try:
        # moderngl's own annotation of **settings is wrong
        settings: Any = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}
        return moderngl.create_context(standalone=True, require=330, **settings)
    except Exception as error:  # the library raises a bare Exception
        raise RendererError(f"{GL_HELP} ({error})") from error


class GlRenderer:
    """What draws in a context of its own, at one size; a `with` block frees it. Made in the process that uses it.

    Args:
        size: side of the square picture in pixels.

    Raises:
        ValueError: for a size that is not of `SIZES`.
        RendererError: where OpenGL is missing.
    """

    def __init__(self, size: int) -> None:
        check_size(size)
        self.size = size
        self._gl: Any = open_context()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the context; safe to call twice."""
        if self._gl is not None:
            self._gl.release()
            self._gl = None

    @property
    def driver(self) -> str:
        """Name of the OpenGL driver, for reports: pictures are only repeatable on the same one."""
        return str(self._gl.info["GL_RENDERER"])
