"""One sentence and an exit code for whatever a user can do wrong."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as cleanly as Ctrl-C does."""


@contextmanager
def reporting() -> Iterator[None]:
    """Turn errors that users can mend into a sentence on stderr; leave our own mistakes their traceback."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # it is None where the caller has closed it
                sys.stdout.flush()  # here, where a reader that has gone can still be dealt with
    except BrokenPipeError:
        # the reader of our output has gone (`perceptio ... | head`): nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except _Terminated:
        print("terminated", file=sys.stderr)
        sys.exit(TERMINATED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except ModuleNotFoundError as error:
        print(f"error: {_missing(error)}", file=sys.stderr)
        sys.exit(FAILED)
    except (ValueError, OSError, MemoryError) as error:
        reason = re.sub(r"^\[Errno \d+\] ", "", str(error)) or "out of memory"
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(FAILED)


def end_cleanly_on_sigterm() -> None:
    """Let SIGTERM, which service managers and batch systems send, do what Ctrl-C does; another thread may not ask."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def tolerate_any_text() -> None:
    """Let stdout and stderr escape characters that their encoding lacks, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _missing(error: ModuleNotFoundError) -> str:
    extras = {
        "moderngl": "train",
        "accelerate": "train",
        "peft": "train",
        "yaml": "train",
        "matplotlib": "train",
        "tensorboard": "train",
        "pyarrow": "data",
        "ray": "ray",
        "gradio": "demo",
        "fastapi": "serve",
        "uvicorn": "serve",
        "sse_starlette": "serve",
        "prometheus_client": "serve",
        "python_multipart": "serve",
        "httpx2": "serve",
        "supervision": "supervision",
        "cv2": "supervision",
        "meshoptimizer": "assets",
    }
    extra = extras.get((error.name or "").partition(".")[0])
    if extra is None:
        return str(error)
    return (
        f"this command needs {error.name}, which is not installed: pip install '.[{extra}]' in perceptio's own folder"
    )
