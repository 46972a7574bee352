"""A user's own data goes from its file to a packed row without our scenes and without nano."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from perceptio.data.sample_files import write_samples
from perceptio.data.schema import Sample

SCRIPT = """
import sys
import numpy as np
import perceptio.data.adapters.registry
import perceptio.training.finetune.run
from perceptio.data.check import check_files
from perceptio.data.mixture import DataMixture
from perceptio.data.packing import pack_sample
from perceptio.model.loading import load

path, folder = sys.argv[1:]
assert not check_files([path], quiet=True).problems
model, processor = load(folder, device="cpu")
row = pack_sample(DataMixture({path: 1.0}, 0).once()[0], processor, model.config, np.random.default_rng(0))
print(len(row.masks), *(name for name in sys.modules if name.startswith(("perceptio.scenes", "perceptio.nano"))))
"""


def test_own_samples_are_checked_read_and_packed_without_scenes_or_nano(
    home: Path, sample: Sample, tiny_folder: Path
) -> None:
    write_samples(home / "own.jsonl", [sample])
    command = [sys.executable, "-c", SCRIPT, str(home / "own.jsonl"), str(tiny_folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.split() == ["2"]  # both masks, and no such module
