"""How far written depth maps are off, by what stands before each code: the truth, or what the model itself wrote.

python benchmarks/own_depth.py [--model nano] [--val 64]
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import Sample
from perceptio.model.packed_batch import PackedBatch
from perceptio.scenes.language.facts import Facts
from perceptio.scenes.language.grounding import depth
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore

BATCH = 16  # scenes


@torch.no_grad()
def maps(model: Perceptio, store: SceneStore) -> dict[str, tuple[Tensor, Tensor]]:
    """What stands before each code -> maps (n, 1, S, S), and the true ones."""
    whole, processor, config = model.model, model.processor, model.model.config
    ids_K = torch.tensor(config.depth_code_token_ids)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {"(the tokenizer's codes)": [], "the truth": [], "its own": []}
    for first in range(0, len(store), BATCH):
        records = []
        for unit in range(first, min(first + BATCH, len(store))):
            stored, rng = store[unit], np.random.default_rng(unit)
            facts = Facts(stored)
            records.append(Sample(str(unit), stored.rgb, (depth(facts, rng),), inverse_depth=facts.nearness))
        size, rng = config.depth.image_size, np.random.default_rng(0)
        rows = [pack_sample(record, processor, config.vocabulary, rng, depth_size=size) for record in records]
        packed = PackedBatch(**collate(rows, processor.tokenizer.pad_token_id))
        truth, codes_BN = packed.depth_maps, whole._write_codes(packed)
        rows_B, starts_B = packed.spans.unbind(1)
        places_BN = starts_B[:, None] + torch.arange(codes_BN.shape[1])
        logits_BNV = whole.vlm.lm_head(whole._read(packed)[rows_B[:, None], places_BN])
        answers = model.ask_batch(
            [Image.fromarray(record.image) for record in records], [record.turns[0].question for record in records]
        )
        own_BN = torch.tensor(np.stack([answer.depth.codes.flatten() for answer in answers if answer.depth]))
        chosen = {
            "(the tokenizer's codes)": codes_BN,
            "the truth": logits_BNV[..., ids_K].argmax(-1),
            "its own": own_BN,
        }
        for name, codes in chosen.items():
            found[name].append((whole.depth_tokenizer.decode(codes), truth))
    return {
        name: (torch.cat([written for written, _ in parts]), torch.cat([truth for _, truth in parts]))
        for name, parts in found.items()
    }


@reporting()
def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--val", type=int, default=64, help="scenes")
    options = parser.parse_args()
    model = Perceptio.from_pretrained(options.model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = render_split(f"{folder}/val", "val", options.val)
        print("| codes before each | MAE, normalised |\n|---|---:|")
        for name, (written, truth) in maps(model, store).items():
            print(f"| {name} | {(written - truth).abs().mean():.3f} |", flush=True)


if __name__ == "__main__":
    main()
