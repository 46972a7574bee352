"""The composed model: packing, losses, gradients, saving and loading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import InternVLConfig, Sam2Config

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Mark, Sample, Turn
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import PackedBatch
from perceptio.pipeline import Perceptio

TURNS = (
    Turn("Segment the cube.", "Here is <p>the cube</p>.", "referring", masks=(1,)),
    Turn("How near is it?", "The cube is at 3.", "nearer", masks=(1, 2), depth=True, target="3"),
    Turn("Is there a cone?", "No.", "existence", target="no"),
)


def record(turns: tuple[Turn, ...] = TURNS, side: int = 64) -> Sample:
    rng = np.random.default_rng(0)
    ids = np.zeros((side, side), np.uint8)
    ids[8:30, 8:30] = 1
    ids[40:60, 20:50] = 2
    nearness = np.linspace(-1, 1, side, dtype=np.float32)[:, None].repeat(side, 1)
    return Sample("test/0", rng.integers(0, 255, (side, side, 3), dtype=np.uint8), turns, IdMap(ids), nearness)


def batch_of(tiny: Perceptio, *records: Sample) -> dict[str, torch.Tensor]:
    config = tiny.model.config
    rows = [
        pack_sample(
            item, tiny.processor, config.vocabulary, np.random.default_rng(0), depth_size=config.depth.image_size
        )
        for item in records
    ]
    return collate(rows, tiny.processor.tokenizer.pad_token_id)


def test_a_packed_question_reads_as_if_it_were_alone(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, record()))
    with torch.no_grad():
        tiny.model._write_codes(packed)
        together = tiny.model._read(packed)[0]
    for number, turn in enumerate(TURNS):
        single = PackedBatch(**batch_of(tiny, record((turn,))))
        with torch.no_grad():
            tiny.model._write_codes(single)
            alone = tiny.model._read(single)[0]
        branch = packed.branch_ids[0] == number + 1
        torch.testing.assert_close(together[branch], alone[single.branch_ids[0] == 1], rtol=1e-3, atol=1e-4)


def test_padding_a_row_does_not_change_its_losses(tiny: Perceptio) -> None:
    torch.manual_seed(0)
    alone = batch_of(tiny, record(TURNS[2:]))
    padded = batch_of(tiny, record(TURNS[2:]), record())
    with torch.no_grad():
        states = tiny.model._read(PackedBatch(**padded))[0, : alone["input_ids"].shape[1]]
        expected = tiny.model._read(PackedBatch(**alone))[0]
    assert torch.isfinite(states).all()
    torch.testing.assert_close(states, expected, rtol=1e-3, atol=1e-4)


def test_code_positions_get_the_codes_of_the_map(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, record()))
    codes = tiny.model._write_codes(packed)
    vocabulary = tiny.model.config.vocabulary
    row, start = packed.spans[0].tolist()
    ids = packed.input_ids[row, start : start + vocabulary.tokens_per_map + 2].tolist()
    assert ids == [vocabulary.depth_start, *(vocabulary.codes[code] for code in codes[0]), vocabulary.depth_end]
    assert packed.targets[row, start : start + vocabulary.tokens_per_map].tolist() == ids[1:-1]
    expected = tiny.model.depth_tokenizer.encode(packed.depth_maps)
    assert torch.equal(codes, expected)


def test_the_input_after_a_segment_carries_the_picture_where_its_object_is(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, record()))
    packed.masks[1] = False  # an absent object
    with torch.no_grad():
        embeddings = tiny.model._embed_packed(packed)[0]
        visual = tiny.model.vlm.get_image_features(pixel_values=packed.pixel_values, return_dict=True).pooler_output[0]
    words = tiny.model.get_input_embeddings().weight[packed.input_ids[0]]
    words[packed.input_ids[0] == tiny.model.config.vlm.image_token_id] = visual
    carried = (embeddings - words).detach()
    places = packed.segments[:, 1] + 1
    assert carried.abs().sum(1).nonzero().flatten().tolist() == [int(places[0]), int(places[2])]
    side = packed.masks.shape[-1] // 8  # of a cell, px
    for number in (0, 2):
        pixels = packed.masks[number].nonzero() // side
        shares = torch.bincount(pixels[:, 0] * 8 + pixels[:, 1], minlength=64).double()
        mean = (shares / shares.sum()) @ visual.double()
        loudness = tiny.model.projector.loudness.detach() * visual.square().mean().sqrt()
        expected = loudness * mean / mean.square().mean().sqrt()
        torch.testing.assert_close(carried[places[number]], expected.float(), rtol=1e-4, atol=1e-4)


def test_an_answer_that_ends_with_its_segment_leaves_the_next_question_alone(tiny: Perceptio) -> None:
    """With the answer first a [SEG] can be a branch's last token, or the row's."""
    vocabulary = replace(tiny.model.config.vocabulary, order="answer_first")
    turns = (TURNS[0], TURNS[2], replace(TURNS[1], depth=False))
    rows = [pack_sample(record(turns), tiny.processor, vocabulary, np.random.default_rng(0), depth_size=32)]
    packed = PackedBatch(**collate(rows, tiny.processor.tokenizer.pad_token_id))
    places = packed.segments[:, 1].tolist()
    branches = packed.branch_ids[0].tolist()
    assert branches[places[0] : places[0] + 2] == [1, 2]
    assert places[2] == len(branches) - 1
    with torch.no_grad():
        embeddings = tiny.model._embed_packed(packed)[0]
    words = tiny.model.get_input_embeddings().weight[packed.input_ids[0]]
    different = (embeddings - words).detach().abs().sum(1).nonzero().flatten().tolist()
    image = (packed.input_ids[0] == tiny.model.config.vlm.image_token_id).nonzero().flatten().tolist()
    assert different == [*image, places[2]]  # the second of the last answer's two segments carries what the first saw


def test_visual_tokens_must_fill_the_placeholders(tiny: Perceptio) -> None:
    packed = PackedBatch(**batch_of(tiny, record()))
    with pytest.raises(ValueError, match="63 visual tokens do not fit 64 image placeholders"):
        tiny.model.embed(packed.input_ids, torch.zeros(1, 63, 64))


def test_every_loss_is_reported_and_the_total_is_their_weighted_sum(tiny: Perceptio) -> None:
    weights = LossWeights(gaze=0.5)
    marked = replace(record(), turns=(Turn("Which?", "A at 1,2. Point A.", "marks"),), marks=(Mark("A", 5, 5, 0.0),))
    torch.manual_seed(0)
    try:
        tiny.model.loss_weights = weights
        with torch.no_grad():
            outputs = tiny.model(**batch_of(tiny, record(), marked))
    finally:
        tiny.model.loss_weights = LossWeights()
    assert outputs["losses"]["gaze"] > 0
    assert set(outputs["losses"]) == set(weights.__dataclass_fields__)
    total = sum(getattr(weights, name) * value for name, value in outputs["losses"].items())
    torch.testing.assert_close(outputs["loss"], total)


@pytest.mark.parametrize("name", list(LossWeights.__dataclass_fields__))
def test_each_loss_can_be_switched_off(tiny: Perceptio, name: str) -> None:
    batch = batch_of(tiny, record())
    try:
        tiny.model.loss_weights = replace(LossWeights(), **{name: 0.0})
        torch.manual_seed(0)
        with torch.no_grad():
            outputs = tiny.model(**batch)
    finally:
        tiny.model.loss_weights = LossWeights()
    rest = [getattr(LossWeights(), key) * value for key, value in outputs["losses"].items() if key != name]
    torch.testing.assert_close(outputs["loss"], sum(rest))


def test_the_reconstruction_loss_reaches_the_language_model_through_the_frozen_decoder(tiny: Perceptio) -> None:
    off = dict.fromkeys(LossWeights.__dataclass_fields__, 0.0)
    tiny.model.loss_weights = LossWeights(**{**off, "reconstruction": 1.0})
    try:
        tiny.model.zero_grad()
        tiny.model(**batch_of(tiny, record()))["loss"].backward()
        layer = tiny.model.vlm.model.language_model.layers[0].mlp.up_proj.weight
        assert layer.grad is not None
        assert layer.grad.abs().sum() > 0
        assert all(parameter.grad is None for parameter in tiny.model.depth_tokenizer.parameters())
    finally:
        tiny.model.loss_weights = LossWeights()
        tiny.model.zero_grad()


def test_a_record_without_masks_or_depth_trains_without_nan(tiny: Perceptio) -> None:
    tiny.model.zero_grad()
    outputs = tiny.model(**batch_of(tiny, record(TURNS[2:])))
    outputs["loss"].backward()
    assert torch.isfinite(outputs["loss"])
    trained = list(tiny.model.projector.parameters())
    assert all(parameter.grad is not None for parameter in trained)  # data-parallel ranks need every gradient
    tiny.model.zero_grad()


def test_training_mode_leaves_the_frozen_parts_in_evaluation_mode(tiny: Perceptio) -> None:
    tiny.model.train()
    assert not tiny.model.depth_tokenizer.quantizer.training
    assert not tiny.model.sam.training
    assert not any(parameter.requires_grad for parameter in tiny.model.sam.vision_encoder.parameters())
    tiny.model.eval()


def test_saving_and_loading_keeps_every_tensor(tiny: Perceptio, tmp_path: Path) -> None:
    tiny.model.save_pretrained(tmp_path)
    loaded = PerceptioForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.vocabulary == tiny.model.config.vocabulary
    for (name, one), (other_name, other) in zip(
        tiny.model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other), name


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_that_do_not_fit_fail_loudly(tiny_folder: Path, tmp_path: Path, change: str) -> None:
    weights = load_file(tiny_folder / "model.safetensors")
    name = "projector.layers.0.weight"
    if change == "missing":
        del weights[name]
    else:
        name = "projector.layers.9.weight"
        weights[name] = torch.zeros(2)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((tiny_folder / "config.json").read_text())
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        PerceptioForConditionalGeneration.from_pretrained(tmp_path)


def test_the_same_classes_hold_an_8b_model() -> None:
    text = {
        "model_type": "qwen2",
        "vocab_size": 151_936,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    }
    vision = {"model_type": "internvl_vision", "image_size": [448, 448], "patch_size": [14, 14]}
    config = PerceptioConfig(
        vlm=InternVLConfig(vision_config=vision, text_config=text, tie_word_embeddings=False),
        sam=Sam2Config(),
        depth=DepthTokenizerConfig(),
    )
    with torch.device("meta"):
        model = PerceptioForConditionalGeneration(config)
    assert 7.5e9 < sum(parameter.numel() for parameter in model.vlm.parameters()) < 8.5e9
    assert model.config.depth.tokens_per_map == 100
    assert model.projector.layers[-1].out_features == config.sam.mask_decoder_config.hidden_size


@pytest.mark.parametrize("name", ["depth_positions", "order"])
def test_an_unknown_choice_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of .*, not 'other'"):
        PerceptioConfig(**{name: "other"})


def test_the_number_of_code_ids_must_match_the_codebook() -> None:
    with pytest.raises(ValueError, match="3 depth code token ids"):
        PerceptioConfig(depth_code_token_ids=[1, 2, 3])


def test_a_configuration_without_spatial_tokens_says_so() -> None:
    with pytest.raises(ValueError, match="extend the vocabulary"):
        _ = PerceptioConfig().vocabulary


def test_given_codes_train_as_the_map_they_come_from_does(tiny: Perceptio) -> None:
    item = record()
    batch = batch_of(tiny, item)
    with torch.no_grad():
        codes = tiny.model.depth_tokenizer.encode(batch["depth_maps"])[0]
        decoded = tiny.model.depth_tokenizer.decode(codes[None])
    given = batch_of(tiny, replace(item, inverse_depth=None, codes=tuple(codes.tolist())))
    packed, mapped = PackedBatch(**given), PackedBatch(**batch)
    torch.testing.assert_close(tiny.model._write_codes(packed), tiny.model._write_codes(mapped))
    assert torch.equal(packed.input_ids, mapped.input_ids)
    assert torch.equal(packed.targets, mapped.targets)
    torch.testing.assert_close(packed.depth_maps, decoded)
    torch.manual_seed(0)
    expected = tiny.model(**(batch | {"depth_maps": decoded, "codes": given["codes"]}))["losses"]
    torch.manual_seed(0)
    losses = tiny.model(**given)["losses"]
    torch.testing.assert_close(losses, expected)


def test_rows_with_maps_and_rows_with_codes_share_a_batch(tiny: Perceptio) -> None:
    item = record()
    codes = tuple(index % 16 for index in range(tiny.model.config.vocabulary.tokens_per_map))
    given = replace(item, inverse_depth=None, codes=codes)
    packed = PackedBatch(**batch_of(tiny, item, given))
    with torch.no_grad():
        written = tiny.model._write_codes(packed)
        assert torch.equal(written[0], tiny.model.depth_tokenizer.encode(packed.depth_maps[:1])[0])
    assert written[1].tolist() == list(codes)


def test_codes_that_the_model_wrote_are_read_and_the_true_ones_taught(tiny: Perceptio) -> None:
    true, own = ((code,) * tiny.model.config.vocabulary.tokens_per_map for code in (3, 5))
    kinds = {"mixed": (true, own), "true": (true, None), "own": (own, None)}
    batches = {
        name: PackedBatch(**batch_of(tiny, replace(record(), codes=taught, own_codes=read), record()))
        for name, (taught, read) in kinds.items()
    }
    with torch.no_grad():
        codes = {name: tiny.model._write_codes(packed) for name, packed in batches.items()}
    assert torch.equal(codes["mixed"], codes["true"])
    assert torch.equal(batches["mixed"].targets, batches["true"].targets)
    assert torch.equal(batches["mixed"].input_ids, batches["own"].input_ids)
    assert not torch.equal(batches["own"].input_ids, batches["true"].input_ids)
    assert torch.equal(batches["own"].input_ids[1], batches["true"].input_ids[1])  # the row beside it reads its map


def test_spans_that_are_not_supervised_have_no_loss(tiny: Perceptio) -> None:
    turn = replace(TURNS[1], supervise=("text",))
    losses = tiny.model(**batch_of(tiny, record((turn,))))["losses"]
    for name in ("marker", "token", "reconstruction", "bce", "dice", "point", "prompt", "object", "score"):
        assert losses[name] == 0, name
    assert losses["text"] > 0
    # they are read: other codes change the words' loss
    other = replace(record((turn,)), codes=(3,) * tiny.model.config.vocabulary.tokens_per_map)
    assert tiny.model(**batch_of(tiny, other))["losses"]["text"] != losses["text"]


def test_masks_that_are_not_supervised_do_not_change_the_loss_of_those_that_are(tiny: Perceptio) -> None:
    read = replace(TURNS[1], depth=False, supervise=("text",))
    names = ("point", "prompt", "object")  # the others sample points
    alone, both = (tiny.model(**batch_of(tiny, record(turns)))["losses"] for turns in (TURNS[:1], (TURNS[0], read)))
    for name in names:
        torch.testing.assert_close(both[name], alone[name], rtol=1e-4, atol=1e-5)
