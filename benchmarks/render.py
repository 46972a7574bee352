"""How many labelled scenes a second: drawing the scene, rendering, labels, and writing, on all cores.

python benchmarks/render.py [--count 1024] [--size 224] [--world places --pack PACK]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from perceptio.cli.errors import reporting
from perceptio.scenes.render_job import render_split
from perceptio.scenes.worlds import TABLETOP, WORLDS


@reporting()
def main() -> None:
    """Render into a temporary folder, once with one process and once with one a core, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1024, help="scenes")
    parser.add_argument("--size", type=int, default=224, help="side of the pictures, px")
    parser.add_argument("--world", choices=list(WORLDS), default=TABLETOP.name)
    parser.add_argument("--pack", type=Path, help="of models and surfaces, for worlds that are drawn with one")
    options = parser.parse_args()
    speeds = {}
    for workers in (1, os.cpu_count() or 1):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            what: dict[str, Any] = {
                "world": options.world,
                "pack": options.pack,
                "size": options.size,
                "workers": workers,
            }
            store = render_split(folder, "train", options.count, **what)
            speeds[workers] = options.count / (time.perf_counter() - start)
            driver = store.meta.driver
    for workers, speed in speeds.items():
        print(f"{workers} process(es): {speed:.1f} scenes/s with labels at {options.size} px, {driver}")
    print(f"ratio: {speeds[max(speeds)] / speeds[1]:.2f}")


if __name__ == "__main__":
    main()
