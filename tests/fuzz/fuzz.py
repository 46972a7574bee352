"""Give the package odd inputs of every kind it reads, and count what comes of them.

The rule: an answer, or one of our refusals in one sentence that names what was given; never a traceback from the depths
of a library, a crash, a hang of 20 s, more than 2 GB, or a half-written file. An input is a function of the seed and
its number, so a broken one can be tried again.

    python tests/fuzz/fuzz.py                         # 150 inputs of each family
    python tests/fuzz/fuzz.py Samples --count 1000 --seed 7
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")

import data_families as data
import model_families as models
from rules import Family, Outcome, hold
from transformers.utils import logging

import perceptio

NANO = Path(perceptio.__file__).parent / "assets" / "nano"


def families(model: Path) -> dict[str, Family]:
    """All of them, by name."""
    found: list[Family] = [
        data.Pictures(),
        data.Bytes(),
        data.Samples(),
        data.Parquet(),
        data.MadeSamples(),
        data.Masks(),
        data.DepthMaps(),
        data.Referring(),
        data.Conversations(),
        data.Choices(),
        data.Points(),
        data.Prompts(),
        data.Judgements(),
        models.Recipes(),
        models.Configuration(model),
        models.Weights(model),
        models.TextTokenizer(model),
        models.Index(model),
        models.DepthFolder(model),
        models.Calls(model),
    ]
    return {type(family).__name__: family for family in found}


def main() -> int:
    """Run, print a table, and say how many inputs broke the rule by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="all by default")
    parser.add_argument("--count", type=int, default=150, help="inputs of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=NANO, help="folder of the model whose files are changed")
    options = parser.parse_args()
    known = families(options.model)
    unknown = [name for name in options.families if name not in known]
    if unknown:
        parser.error(f"there is no family {unknown[0]!r}: give {', '.join(known)}")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    total = Outcome()
    print(f"{'family':16}{'inputs':>8}{'answered':>10}{'refused':>9}{'broken':>8}{'MB':>7}", flush=True)
    for name in options.families or known:
        with tempfile.TemporaryDirectory() as folder:
            outcome = hold(known[name], Path(folder), options.seed, options.count)
        answered, refused, broken = outcome.counts["answered"], outcome.counts["refused"], len(outcome.broken)
        print(f"{name:16}{options.count:8}{answered:10}{refused:9}{broken:8}{outcome.memory:7}", flush=True)
        for text in outcome.broken:
            print(f"  {name}, {text}", file=sys.stderr, flush=True)
        total.counts += outcome.counts
        total.broken += outcome.broken
    inputs = sum(total.counts.values()) + len(total.broken)
    print(f"{'all':16}{inputs:8}{total.counts['answered']:10}{total.counts['refused']:9}{len(total.broken):8}")
    return min(len(total.broken), 100)


if __name__ == "__main__":
    sys.exit(main())
