"""How often the lowest of the marked points is the nearest: height in a picture must not give depth away.

python benchmarks/lowest_point.py FOLDER [--draws 4]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from perceptio.cli.errors import reporting
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.scenes.samples import points_in
from perceptio.scenes.storage import SceneStore


@reporting()
def main() -> None:
    """Draw sets of marked points in every scene, as samples and tests do, and print a line for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a rendered split")
    parser.add_argument("--draws", type=int, default=4, help="sets of each number of points in a scene")
    options = parser.parse_args()
    found: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for stored in SceneStore(options.folder):
        nearness = inverse_depth_from_metric(stored.depth)
        rng = np.random.default_rng(stored.seed)
        for count in (3, 4, 5):
            for _ in range(options.draws):
                points = points_in(stored, nearness, count, rng)
                if points:
                    lowest = max(points, key=lambda point: point.y)
                    nearest = max(points, key=lambda point: point.nearness)
                    found[getattr(stored.scene, "family", stored.world.name), count].append(lowest is nearest)
    for (family, count), hits in sorted(found.items()):
        share = float(np.mean(hits))
        error = 1.96 * (share * (1 - share) / len(hits)) ** 0.5
        print(f"{family:12} {count} points: {100 * share:.0f} % of {len(hits)} (± {100 * error:.0f})")


if __name__ == "__main__":
    main()
