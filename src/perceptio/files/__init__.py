"""Files: output is either there in full or not there at all, and failures, of reading too, are one sentence."""

from __future__ import annotations

from perceptio.files.lock import FolderInUseError, locked
from perceptio.files.notes import claim, refuse_foreign
from perceptio.files.text import json_line, parse_json, read_json, read_lines, read_text
from perceptio.files.weights import reading_weights
from perceptio.files.writing import (
    OutputError,
    check_writable,
    check_writable_folder,
    replacing,
    replacing_folder,
    write_files,
)

__all__ = [
    "FolderInUseError",
    "OutputError",
    "check_writable",
    "check_writable_folder",
    "claim",
    "json_line",
    "locked",
    "parse_json",
    "read_json",
    "read_lines",
    "read_text",
    "reading_weights",
    "refuse_foreign",
    "replacing",
    "replacing_folder",
    "write_files",
]
