"""A little of the fuzz in every run, a lot of it in `make test-all`; `fuzz.py` says what the rule is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "fuzz.py"
DATA = (
    "Pictures",
    "Bytes",
    "Samples",
    "Parquet",
    "MadeSamples",
    "Masks",
    "DepthMaps",
    "Referring",
    "Conversations",
    "Choices",
    "Points",
    "Prompts",
    "Judgements",
    "Recipes",
)
MODELS = ("Configuration", "Weights", "TextTokenizer", "Index", "DepthFolder", "Calls")


def broken(families: tuple[str, ...], count: int, model: Path) -> str:
    """What broke the rule, of so many inputs of each family."""
    options = ["--count", str(count), "--model", model, "--seed", "1"]
    command = [sys.executable, "-W", "ignore", SCRIPT, *families, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def test_odd_inputs_give_an_answer_or_one_sentence(tiny_folder: Path) -> None:
    assert not broken((*DATA, *MODELS), 6, tiny_folder)


@pytest.mark.slow
@pytest.mark.parametrize("family", [*DATA, *MODELS])
def test_many_odd_inputs_give_an_answer_or_one_sentence(family: str, tiny_folder: Path) -> None:
    assert not broken((family,), 150, tiny_folder)
