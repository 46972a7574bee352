"""Parallel depth spans in training: what a query sees, what does not see it, its losses, and that they teach it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights, soft_merge
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.parallel_depth import fresh_query, query_positions, set_depth_decoding
from perceptio.pipeline import Perceptio
from perceptio.pretrained.folder import ModelError

TURNS = (
    Turn("Which is nearer?", "The cube.", "nearer", masks=(1, 2), depth=True),
    Turn("How near is it?", "The cube is at 3.", "reading", depth=True, target="3"),
    Turn("Is there a cone?", "No.", "existence", target="no"),
)
NAMES = {"parallel_token", "parallel_reconstruction"}


@pytest.fixture(params=["image", "sequence"])
def model(request: pytest.FixtureRequest, tiny: Perceptio) -> PerceptioForConditionalGeneration:
    """The tiny model with a query that is unlike any token."""
    changed = copy.deepcopy(tiny.model)
    changed.config.depth_positions = request.param
    set_depth_decoding(changed, "parallel")
    nn.init.normal_(changed.depth_query, generator=torch.Generator().manual_seed(0))
    return changed


def batch_of(tiny: Perceptio, *turns: tuple[Turn, ...]) -> dict[str, torch.Tensor]:
    """A packed batch with a picture for each tuple of turns."""
    ids = np.zeros((64, 64), np.uint8)
    ids[8:30, 8:30], ids[40:60, 20:50] = 1, 2
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    nearness = np.linspace(-1, 1, 64, dtype=np.float32)[:, None].repeat(64, 1)
    samples = [Sample(picture, each, "test/0", IdMap(ids), nearness) for each in turns]
    rows = [pack_sample(item, tiny.processor, tiny.model.config, np.random.default_rng(0)) for item in samples]
    return collate(rows, tiny.processor.tokenizer.pad_token_id)


def read(model: PerceptioForConditionalGeneration, batch: dict[str, torch.Tensor]) -> tuple[PackedBatch, torch.Tensor]:
    packed = PackedBatch(**batch)
    objective = PackedObjective(model)
    with torch.no_grad():
        objective.write_codes(packed)
        return packed, objective.read(packed)


def test_no_other_position_sees_a_query(tiny: Perceptio, model: PerceptioForConditionalGeneration) -> None:
    batch = batch_of(tiny, TURNS, TURNS[2:])
    with_queries = read(model, batch)[1]
    set_depth_decoding(model, "exact")
    without = read(model, batch)[1]
    length, count = without.shape[1], model.config.depth.tokens_per_map
    assert with_queries.shape[1] == length + count
    torch.testing.assert_close(with_queries[:, :length], without, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_queries_read_what_they_read_when_a_span_is_decoded(
    tiny: Perceptio, model: PerceptioForConditionalGeneration
) -> None:
    """The question alone up to <DEPTH_START>, then queries that see it and each other."""
    count = model.config.depth.tokens_per_map
    packed, states = read(model, batch_of(tiny, (TURNS[2], TURNS[1])))
    found = states[0, -count:]
    ((_, start),) = packed.spans.tolist()
    prefix = (packed.branch_ids[0] == 0).nonzero().flatten()
    branch = ((packed.branch_ids[0] == 2) & (torch.arange(packed.input_ids.shape[1]) <= start)).nonzero().flatten()
    ids = packed.input_ids[:, torch.cat([prefix, branch])]
    embeddings = model.embed(ids, model.visual_tokens(packed.pixel_values))
    queries = model.depth_query.expand(1, count, -1)
    length = ids.shape[1] + count
    sees = torch.ones(length, length, dtype=torch.bool).tril()
    sees[-count:] = True
    if model.config.depth_positions == "image":
        span = torch.cat([ids, ids.new_full((1, count), model.config.depth_code_token_ids[0])], 1)
        where = model.positions(span, torch.arange(length)[None])
        positions = torch.cat([where[:, : -count - 1], where[:, -count - 1 : -1][:, :1], where[:, -count - 1 : -1]], 1)
    else:
        positions = torch.arange(length)[None]
    expected = model(
        inputs_embeds=torch.cat([embeddings, queries], 1), attention_mask=sees[None, None], position_ids=positions
    ).last_hidden_state
    torch.testing.assert_close(found, expected[0, -count:], rtol=1e-3, atol=1e-3)


def test_queries_stand_at_their_cells_or_at_their_codes() -> None:
    cells = torch.tensor([[5, 9, 6]])
    assert query_positions(torch.tensor([20]), cells, 3).tolist() == [[5, 9, 6]]
    assert query_positions(torch.tensor([20, 7]), None, 3).tolist() == [[21, 22, 23], [8, 9, 10]]


def test_the_losses_are_those_of_the_codes_and_of_the_map(
    tiny: Perceptio, model: PerceptioForConditionalGeneration
) -> None:
    objective = PackedObjective(model, LossWeights(token=0.7, reconstruction=2.0))
    batch = batch_of(tiny, TURNS[2:], TURNS[1:2] * 2)  # two spans of one picture: one is decoded
    counts = objective.counts(**batch)
    count = model.config.depth.tokens_per_map
    assert (int(counts["parallel_token"]), int(counts["parallel_reconstruction"])) == (count, 1)
    with torch.no_grad():
        outputs = objective(**batch)
    assert set(outputs["losses"]) == set(objective.loss_weights)
    total = sum(objective.loss_weights[name] * value for name, value in outputs["losses"].items())
    torch.testing.assert_close(outputs["loss"], total)
    assert {name: objective.loss_weights[name] for name in NAMES} == {
        "parallel_token": 0.7,
        "parallel_reconstruction": 2.0,
    }

    packed, states = read(model, batch)
    with torch.no_grad():
        codes = model.depth_tokenizer.encode(packed.depth_maps[1:])
        logits = model.vlm.lm_head(states[1, -count:])
        token = F.cross_entropy(logits, torch.tensor(model.config.depth_code_token_ids)[codes[0]])
        merged = soft_merge(logits[:, model.config.depth_code_token_ids], model.depth_tokenizer.codebook, 1.25)
        error = F.mse_loss(model.depth_tokenizer.decode_vectors(merged[None]), packed.depth_maps[1:])
    torch.testing.assert_close(outputs["losses"]["parallel_token"], token, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outputs["losses"]["parallel_reconstruction"], error, rtol=1e-4, atol=1e-4)


def test_a_batch_without_spans_leaves_the_query_alone_but_reaches_it(
    tiny: Perceptio, model: PerceptioForConditionalGeneration
) -> None:
    """Every process of a sharded run must give a gradient to every parameter."""
    outputs = PackedObjective(model)(**batch_of(tiny, TURNS[2:]))
    assert all(outputs["losses"][name] == 0 for name in NAMES)
    outputs["loss"].backward()
    assert torch.equal(model.depth_query.grad, torch.zeros_like(model.depth_query))


def test_a_query_learns_a_map(tiny: Perceptio, model: PerceptioForConditionalGeneration) -> None:
    model.requires_grad_(False)
    model.depth_query.requires_grad_(True)
    weights = replace(LossWeights(**dict.fromkeys(vars(LossWeights()), 0.0)), token=1.0)
    objective, batch = PackedObjective(model, weights), batch_of(tiny, TURNS[1:2])
    optimizer = torch.optim.Adam([model.depth_query], lr=0.1)
    losses = []
    for _ in range(12):
        outputs = objective(**batch)
        losses.append(float(outputs["losses"]["parallel_token"]))
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


def test_a_fresh_query_is_the_mean_code_and_goes_when_it_is_not_wanted(tiny: Perceptio) -> None:
    model = copy.deepcopy(tiny.model)
    assert model.depth_query is None
    set_depth_decoding(model, "parallel")
    codes = model.get_input_embeddings().weight[model.config.depth_code_token_ids]
    torch.testing.assert_close(model.depth_query.data, codes.mean(0).data)
    model.depth_query.data.fill_(7.0)
    set_depth_decoding(model, "parallel")  # what it has learnt stays
    assert (model.depth_query == 7.0).all()
    assert not (fresh_query(model) == 7.0).any()
    set_depth_decoding(model, "sequential")
    assert model.depth_query is None
    assert model.config.depth_decoding == "sequential"
    assert "depth_query" not in model.state_dict()


def test_a_query_is_saved_and_missed(tiny: Perceptio, model: PerceptioForConditionalGeneration, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = PerceptioForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(loaded.depth_query, model.depth_query)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["depth_query"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="depth_query"):
        PerceptioForConditionalGeneration.from_pretrained(tmp_path)
    set_depth_decoding(model, "exact")
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors") | {"depth_query": torch.zeros(64)}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="depth_query"):
        PerceptioForConditionalGeneration.from_pretrained(tmp_path)
