"""The names of weights in a saved model are a promise: a checkpoint of today must load tomorrow.

A change of `state_dict.txt` breaks the models of every user: do it with a conversion, or not at all.
"""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import safe_open

from perceptio.model.loading import find

PROMISED = Path(__file__).parent / "state_dict.txt"


def names(folder: Path) -> set[str]:
    """Names in a model's file, layers and blocks not counted, each with its number of dimensions."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {
            f"{re.sub(r'[.][0-9]+(?=[.])', '.N', name)} {len(file.get_slice(name).get_shape())}"
            for name in file.keys()  # noqa: SIM118 (no dictionary)
        }


def test_a_saved_model_has_the_promised_names(tiny_folder: Path) -> None:
    assert sorted(names(tiny_folder)) == PROMISED.read_text().splitlines()


def test_the_shipped_model_has_them(tiny_folder: Path) -> None:
    assert names(find("nano")) <= set(PROMISED.read_text().splitlines())
