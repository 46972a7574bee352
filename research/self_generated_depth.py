"""How far written depth maps are off, by what stands before each code: the truth, or what the model itself wrote.

python research/self_generated_depth.py [--model nano] [--split val] [--scenes FOLDER] [--count 64]
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from _common import load, opened, probe_parser, show_head, show_row
from torch import Tensor

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import Sample
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.language.grounding import depth
from perceptio.scenes.storage import SceneStore

BATCH = 16  # scenes


def samples(store: SceneStore, first: int) -> list[Sample]:
    """One request for depth in each scene of a batch."""
    found = []
    for unit in range(first, min(first + BATCH, len(store))):
        stored = store[unit]
        facts = Facts(stored)
        turn = depth(facts, np.random.default_rng(unit))
        found.append(Sample(stored.rgb, (turn,), str(unit), depth=facts.nearness))
    return found


@torch.no_grad()
def written_codes(model: Perceptio, asked: list[Sample]) -> dict[str, tuple[Tensor, Tensor]]:
    """What stands before each code -> codes (n, N), and the true maps (n, 1, S, S)."""
    config, objective = model.model.config, PackedObjective(model.model).eval()
    rng = np.random.default_rng(0)
    rows = [pack_sample(sample, model.processor, config, rng) for sample in asked]
    packed = PackedBatch(**collate(rows, model.processor.tokenizer.pad_token_id))
    truth, codes_BN = packed.depth_maps, objective.write_codes(packed)
    rows_B, starts_B = packed.spans.unbind(1)
    places_BN = starts_B[:, None] + torch.arange(codes_BN.shape[1])
    logits_BNL = model.model.vlm.lm_head(objective.read(packed)[rows_B[:, None], places_BN])
    answers = model.ask_batch([sample.image for sample in asked], [sample.turns[0].question for sample in asked])
    own = {row: answer.depth.codes.flatten() for row, answer in enumerate(answers) if answer.depth is not None}
    return {
        "(the tokenizer's codes)": (codes_BN, truth),
        "the truth": (logits_BNL[..., config.depth_code_token_ids].argmax(-1), truth),
        "its own": (torch.from_numpy(np.stack(list(own.values()))), truth[list(own)]),
    }


@torch.no_grad()
def measure(model: Perceptio, store: SceneStore) -> dict[str, float]:
    """What stands before each code -> the mean absolute error of the maps on the normalised scale."""
    errors: dict[str, list[Tensor]] = defaultdict(list)
    for first in range(0, len(store), BATCH):
        for name, (codes, truth) in written_codes(model, samples(store, first)).items():
            errors[name].append((model.model.depth_tokenizer.decode(codes) - truth).abs().mean((1, 2, 3)))
    return {name: float(torch.cat(values).mean()) for name, values in errors.items()}


@reporting()
def main() -> None:
    """Print a table."""
    options = probe_parser(__doc__, count=64).parse_args()
    model = load(options, device="cpu")
    with opened(options) as store:
        found = measure(model, store)
    show_head("codes before each", "MAE, normalised")
    for name, error in found.items():
        show_row(name, f"{error:.3f}")


if __name__ == "__main__":
    main()
