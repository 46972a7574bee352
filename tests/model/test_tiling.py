"""Pictures cut into tiles: a tiny model whose processor is told to tile, from pixels to answers and training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import GotOcr2ImageProcessorPil

from perceptio.data.packing import collate, pack_sample
from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.decoding.engine import decode
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.reading import prefill
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.packed_objective import PackedObjective
from perceptio.model.positions import covering_tokens
from perceptio.model.processing import PerceptioProcessor
from perceptio.pipeline import Perceptio
from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.pointing.pointer import Pointed
from perceptio.segmentation.preprocess import IMAGE_MEAN, IMAGE_STD
from perceptio.tokens import Switch

SIDE, VISUAL = 128, 64  # of a tile: px, and visual tokens
SIZES = ((256, 128), (100, 100), (128, 384))  # width and height: 2 tiles and a thumbnail; one; 3 and a thumbnail
TILES = (3, 1, 4)
PROMPTS = ("Segment the small green cone.", "hello", "Which point is nearer, A or B?")
TURN = Turn("Where is it?", "Here is <p>the cube</p>.", "referring", masks=(1,), depth=True)


@pytest.fixture(scope="module")
def tiled(tiny: Perceptio) -> Perceptio:
    """The tiny model with a processor that tiles; no test may change it."""
    old = tiny.processor
    processor = PerceptioProcessor(
        image_processor=GotOcr2ImageProcessorPil(
            size={"height": SIDE, "width": SIDE},
            crop_to_patches=True,
            max_patches=4,
            image_mean=list(IMAGE_MEAN),
            image_std=list(IMAGE_STD),
        ),
        tokenizer=old.tokenizer,
        image_seq_length=VISUAL,
        sam_image_size=old.sam_image_size,
        context_length=old.context_length,
    )
    return Perceptio(tiny.model, processor)


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def sample(size: tuple[int, int]) -> Sample:
    width, height = size
    ids = np.zeros((height, width), np.uint8)
    ids[: height // 2, : width // 2] = 1
    nearness = np.linspace(-1, 1, height, dtype=np.float32)[:, None].repeat(width, 1)
    return Sample(np.asarray(picture(size)), (TURN,), f"test/{size}", IdMap(ids), nearness)


def packed(tiled: Perceptio, sizes: Sequence[tuple[int, int]]) -> PackedBatch:
    config = tiled.model.config
    rng = np.random.default_rng(0)
    rows = [pack_sample(sample(size), tiled.processor, config, rng) for size in sizes]
    batch = PackedBatch(**collate(rows, tiled.processor.tokenizer.pad_token_id))
    PackedObjective(tiled.model).write_codes(batch)
    return batch


def test_tiles_and_visual_tokens_are_as_counted_by_hand(tiled: Perceptio) -> None:
    pictures = [picture(size) for size in SIZES]
    batch = tiled.processor.prepare(pictures, PROMPTS)
    assert [tiled.processor.tiles(image) for image in pictures] == list(TILES)
    places = (batch["input_ids"] == tiled.model.config.vlm.image_token_id).sum(1)
    assert places.tolist() == [3 * VISUAL, VISUAL, 4 * VISUAL]
    assert batch["pixel_values"].shape == (8, 3, SIDE, SIDE)
    assert batch["sam_pixel_values"].shape[0] == 3


def test_tiles_are_in_raster_order_and_the_last_is_the_whole_picture(tiled: Perceptio, tiny: Perceptio) -> None:
    image = picture(SIZES[0])  # as large as its two tiles: cut without being resized
    tiles, _ = tiled.processor.pixels([image])
    for number, box in enumerate([(0, 0, SIDE, SIDE), (SIDE, 0, 2 * SIDE, SIDE)]):
        torch.testing.assert_close(tiles[number], tiny.processor.pixels([image.crop(box)])[0][0])
    torch.testing.assert_close(tiles[2], tiny.processor.pixels([image])[0][0])


def test_tiling_is_kept_when_the_processor_is_saved(tiled: Perceptio, tmp_path: Path) -> None:
    tiled.processor.save_pretrained(tmp_path)
    assert PerceptioProcessor.from_pretrained(tmp_path).tiles(picture(SIZES[2])) == TILES[2]


def test_a_question_has_the_room_that_the_tiles_leave(tiled: Perceptio) -> None:
    with pytest.raises(ValueError, match="at most 768; shorten it"):
        tiled.processor.tokens(["7" * 800], tiles=[4])
    tiled.processor.tokens(["7" * 800], tiles=[1])


def test_pictures_of_different_tiles_are_answered_together_as_alone(tiled: Perceptio) -> None:
    pictures = [picture(size, seed) for seed, size in enumerate(SIZES)]
    together = tiled.ask_batch(pictures, PROMPTS, seg="on", depth="on")
    for image, prompt, found in zip(pictures, PROMPTS, together, strict=True):
        alone = tiled.ask(image, prompt, seg="on", depth="on")
        assert found.trace.raw == alone.trace.raw
        assert found.depth is not None
        assert alone.depth is not None
        np.testing.assert_array_equal(found.depth.codes, alone.depth.codes)
        np.testing.assert_allclose(found.depth.array, alone.depth.array, atol=1e-4)  # decoded from the logits
        assert found.depth.array.shape == image.size[::-1]
        for one, other in zip(found.masks, alone.masks, strict=True):
            assert (one.array != other.array).mean() < 0.01  # a logit next to zero may fall on either side
            assert one.score == pytest.approx(other.score, abs=1e-3)


def test_a_picture_of_several_questions_is_encoded_once(tiled: Perceptio) -> None:
    wide, tall = picture(SIZES[0]), picture(SIZES[2])
    index = [1, 0, 1]  # in the order tall, wide
    ids = tiled.processor.tokens(PROMPTS, tiles=[3, 4, 3])
    pixels, _ = tiled.processor.pixels([tall, wide])
    options = DecodingOptions((Switch.ON,) * 3, (Switch.ON,) * 3)
    shared = decode(tiled.model, prefill(tiled.model, ids["input_ids"], ids["attention_mask"], pixels, index), options)
    separate, _ = tiled.processor.pixels([wide, tall, wide])
    apart = decode(tiled.model, prefill(tiled.model, ids["input_ids"], ids["attention_mask"], separate), options)
    assert [row.ids for row in shared] == [row.ids for row in apart]
    with pytest.raises(ValueError, match="384 visual tokens do not fit 448 image placeholders"):
        prefill(tiled.model, ids["input_ids"], ids["attention_mask"], pixels[:-1], index)


@torch.no_grad()
def test_a_row_of_a_training_batch_reads_as_if_it_were_alone(tiled: Perceptio) -> None:
    together = packed(tiled, SIZES)
    states = PackedObjective(tiled.model).read(together)
    for row, size in enumerate(SIZES):
        alone = packed(tiled, [size])
        expected = PackedObjective(tiled.model).read(alone)[0]
        torch.testing.assert_close(states[row, : len(expected)], expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("size", SIZES)
def test_training_and_decoding_see_the_same_states(tiled: Perceptio, size: tuple[int, int]) -> None:
    batch = packed(tiled, [size])
    states = PackedObjective(tiled.model).read(batch)[0]
    ids = tiled.processor.tokens([TURN.question], tiles=[tiled.processor.tiles(picture(size))])
    start = prefill(tiled.model, ids["input_ids"], ids["attention_mask"], tiled.processor.pixels([picture(size)])[0])
    prompt = ids["input_ids"].shape[1]
    torch.testing.assert_close(start.hidden[0], states[prompt - 1], rtol=1e-3, atol=1e-4)
    last = int((batch.input_ids[0] == tiled.model.config.vlm.image_token_id).nonzero().max())
    torch.testing.assert_close(start.visual_states[0], states[last - VISUAL + 1 : last + 1], rtol=1e-3, atol=1e-4)
    given: list[torch.Tensor] = []

    def draw(rows: torch.Tensor, at_segments: torch.Tensor, pointed: Pointed | None) -> MaskPrediction:
        given.append(at_segments)
        return MaskPrediction(torch.zeros(1, 16, 16), torch.ones(1), torch.ones(1))

    decode(tiled.model, start, DecodingOptions((Switch.ON,), (Switch.OFF,), max_segments=1), draw)
    assert int(batch.segments[0, 1]) == prompt
    torch.testing.assert_close(given[0][0], states[prompt], rtol=1e-3, atol=1e-4)


def test_depth_codes_stand_at_the_visual_tokens_of_the_thumbnail(tiled: Perceptio) -> None:
    batch = packed(tiled, [SIZES[0]])
    row, start = batch.spans[0].tolist()
    positions = tiled.model.positions(batch.input_ids, batch.position_ids)[row, start : start + 16]
    first = batch.input_ids[0].tolist().index(tiled.model.config.vlm.image_token_id)
    assert positions.tolist() == (covering_tokens(16, VISUAL) + first + 2 * VISUAL).tolist()


def test_every_loss_of_a_tiled_batch_is_finite(tiled: Perceptio) -> None:
    config = tiled.model.config
    rng = np.random.default_rng(0)
    rows = [pack_sample(sample(size), tiled.processor, config, rng) for size in SIZES]
    with torch.no_grad():
        losses = PackedObjective(tiled.model)(**collate(rows, 0))["losses"]
    assert all(torch.isfinite(value) for value in losses.values())
    assert {"text", "token", "bce", "cells", "reconstruction"} <= set(losses)
