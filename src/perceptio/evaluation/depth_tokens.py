"""Depth codes written in place of the model's own: does an answer read them? (the replacement suite of 2605.21642)"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.evaluation.errors import EvaluationError
from perceptio.tokens import Switch

_MATCHED = 1  # in the seed of `matched_random`, whose draws are others than those of `random`


class DepthTokens(StrEnum):
    """Which depth tokens an answer can read."""

    own = "own"  # the model's
    off = "off"  # none: the span is switched off
    oracle = "oracle"  # the tokenizer's codes of the true map
    random = "random"  # codes drawn at random, each as often as another
    matched_random = "matched-random"  # drawn at random, each as often as in the true maps of all pictures asked about
    constant = "constant"  # one code everywhere: the commonest of the true map
    first_repeat = "first-repeat"  # one code everywhere: the first that the model writes for this very question
    other = "other"  # the codes of another picture's true map


FROM_TRUE_MAPS = (DepthTokens.oracle, DepthTokens.matched_random, DepthTokens.constant, DepthTokens.other)


class Replacement:
    """The codes that the answers about each picture read.

    Args:
        kind: of codes.
        config: of the model's depth tokenizer.
        true: number of a picture -> (N,) codes of its true map; asked for by the kinds of `FROM_TRUE_MAPS` alone.
        pictures: that are asked about.
        others: pictures with a true map, if there are more: the last one's other is the next of them.
        seed: of what is drawn.
    """

    def __init__(
        self,
        kind: DepthTokens,
        config: DepthTokenizerConfig,
        true: Callable[[int], np.ndarray],
        pictures: int,
        others: int | None = None,
        seed: int = 0,
    ) -> None:
        self.kind, self.config, self._true, self.pictures, self.seed = kind, config, true, pictures, seed
        self._others = others or pictures

    @property
    def depth(self) -> Switch:
        """Of the questions."""
        return Switch.OFF if self.kind is DepthTokens.off else Switch.AUTO

    @property
    def repeats_first(self) -> bool:
        """Whether the first code of each answer takes the place of the others."""
        return self.kind is DepthTokens.first_repeat

    def codes(self, picture: int) -> np.ndarray | None:
        """(N,) int64 codes to put in place of the model's own; None for those kinds that go by the model's."""
        drawing = np.random.default_rng((self.seed, picture))
        match self.kind:
            case DepthTokens.own | DepthTokens.off | DepthTokens.first_repeat:
                return None
            case DepthTokens.random:
                return drawing.integers(0, self.config.codes, self.config.tokens_per_map)
            case DepthTokens.matched_random:
                drawing = np.random.default_rng((self.seed, picture, _MATCHED))
                return drawing.choice(self.config.codes, self.config.tokens_per_map, p=self._frequencies)
            case DepthTokens.other:
                return self._true((picture + 1) % self._others)
            case DepthTokens.constant:
                found = self._true(picture)
                return np.full_like(found, np.bincount(found).argmax())
            case DepthTokens.oracle:
                return self._true(picture)

    @cached_property
    def _frequencies(self) -> np.ndarray:
        """(K,) share of each code in all true maps, which are looked at once."""
        counts = np.zeros(self.config.codes, np.int64)
        for picture in range(self.pictures):
            counts += np.bincount(self._true(picture), minlength=self.config.codes)
        return counts / counts.sum()


def check_labels(kind: DepthTokens, labels: str | Path | None) -> None:
    """Refuse labels that a kind of codes has no use for, and their want where it has.

    Raises:
        EvaluationError: in either case.
    """
    if kind in FROM_TRUE_MAPS and labels is None:
        raise EvaluationError(
            f"depth tokens {kind.value!r} come from depth maps of the pictures: give the folder of their labels with "
            "--labels (`perceptio label`)"
        )
    if kind not in FROM_TRUE_MAPS and labels is not None:
        raise EvaluationError(f"depth tokens {kind.value!r} come from no labels: leave --labels out")


def labelled_codes(
    folder: str | Path, pictures: Sequence[Path], config: DepthTokenizerConfig, tokenizer: str
) -> list[np.ndarray]:
    """The codes of pictures in a folder of `perceptio label`.

    Args:
        folder: of labels.
        pictures: that must be among those labelled.
        config: of the model's depth tokenizer.
        tokenizer: its hash, see `labeling.networks.tokenizer_hash`.

    Returns:
        (N,) int64 codes of each picture.

    Raises:
        EvaluationError: if a picture has no labels, or they are of another depth tokenizer.
        DataError: if the folder holds no labels, or damaged ones.
    """
    from perceptio.labeling.to_samples import label_rows

    found = {os.path.realpath(Path(folder) / row.image): row for row in label_rows(Path(folder))}
    missing = [picture for picture in pictures if os.path.realpath(picture) not in found]
    if missing:
        raise EvaluationError(
            f"{len(missing)} of {len(pictures)} pictures have no labels in {folder}, the first is {missing[0]}: run "
            "`perceptio label` on their folder"
        )
    codes = []
    for picture in pictures:
        row = found[os.path.realpath(picture)]
        if row.tokenizer != tokenizer:
            raise EvaluationError(
                f"the labels in {folder} are of another depth tokenizer ({row.tokenizer}) than the model's "
                f"({tokenizer}): label with `--tokenizer` and the model's folder"
            )
        values = np.array(row.labels.codes, np.int64)
        if values.shape != (config.tokens_per_map,) or not (0 <= values.min() <= values.max() < config.codes):
            raise EvaluationError(
                f"the labels of {picture} in {folder} are damaged: there must be {config.tokens_per_map} codes from 0 "
                f"to {config.codes - 1}"
            )
        codes.append(values)
    return codes


def codes_hash(codes: Sequence[np.ndarray]) -> str:
    """First 16 digits of the SHA-256 over the codes of all pictures."""
    return hashlib.sha256(np.stack(codes).astype("<i8").tobytes()).hexdigest()[:16]
