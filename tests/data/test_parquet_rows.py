"""Damaged parquet files are refused; they do not end the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# pyarrow aborts the process on some of these changes when the columns of a row group are asked for
CHANGES = """
import sys
from pathlib import Path
from perceptio.data.errors import DataError
from perceptio.data.parquet_rows import ParquetRows

path = Path(sys.argv[1])
good = path.read_bytes()
footer = int.from_bytes(good[-8:-4], "little")
refused = 0
for place in range(len(good) - 8 - footer, len(good) - 8):
    for value in (good[place] ^ 1, good[place] ^ 16, 0x18):
        path.write_bytes(good[:place] + bytes([value]) + good[place + 1 :])
        try:
            rows = ParquetRows(path)
            for index in range(min(len(rows), 3)):
                rows[index]
        except DataError:
            refused += 1
print(refused)
"""


def test_no_changed_byte_of_a_footer_ends_the_process(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table({"a": [[1, 2], [3]]}), tmp_path / "x.parquet")
    command = [sys.executable, "-c", CHANGES, str(tmp_path / "x.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) > 100
