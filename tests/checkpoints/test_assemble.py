"""A model from parts: what is kept, what is new, and what does not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import InternVLForConditionalGeneration, Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoMaskDecoderConfig

from perceptio.checkpoints.assemble import MAX_TILES, Report, assemble, load_sam, load_text_tokenizer, load_vlm
from perceptio.model.design import Design
from perceptio.model.loading import find, load, load_depth_tokenizer
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.nano.small_sam import nano_sam_config
from perceptio.pipeline import Perceptio
from perceptio.tokens import spatial_tokens

Joined = tuple[PerceptioForConditionalGeneration, PerceptioProcessor, Report]


@pytest.fixture(scope="module")
def joined(parts: Path) -> Joined:
    return join(parts)


def join(parts: Path, design: Design | None = None, tiles: int = MAX_TILES) -> Joined:
    torch.manual_seed(0)
    return assemble(parts / "vlm", parts / "sam", load_depth_tokenizer(parts / "depth"), design, tiles)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_every_weight_of_the_parts_is_kept(parts: Path, joined: Joined) -> None:
    model, _, _ = joined
    own = load_vlm(parts / "vlm").state_dict()
    for name, found in model.vlm.state_dict().items():
        rows = len(own[name]) if found.shape != own[name].shape else len(found)
        known = 300 if "embed_tokens" in name or "lm_head" in name else rows
        torch.testing.assert_close(found[:known] if found.dim() else found, own[name][:known], rtol=0, atol=0)
    for name, weight in load_sam(parts / "sam").state_dict().items():
        assert torch.equal(model.sam.state_dict()[name], weight)
    for name, weight in load_depth_tokenizer(parts / "depth").state_dict().items():
        assert torch.equal(model.depth_tokenizer.state_dict()[name], weight)


def test_new_rows_are_the_mean_of_the_trained_ones_in_embedding_and_head(parts: Path, joined: Joined) -> None:
    model, processor, _ = joined
    known = len(processor.tokenizer) - len(spatial_tokens(16)) - 2  # and <p>, </p>
    ids = processor.tokenizer.convert_tokens_to_ids([*spatial_tokens(16), "<p>", "</p>"])
    assert ids == list(range(known, known + 21))
    own = load_vlm(parts / "vlm")
    for weight, old in (
        (model.get_input_embeddings().weight, own.get_input_embeddings().weight),
        (model.get_output_embeddings().weight, own.get_output_embeddings().weight),
    ):
        torch.testing.assert_close(weight[ids], old[:known].mean(0).expand(21, -1))


@pytest.mark.parametrize("pointing", [False, True])
def test_the_report_counts_what_is_untrained(parts: Path, pointing: bool) -> None:
    model, _, report = join(parts, Design(pointing=pointing))
    assert report.new_tokens == 16 + 3 + 2
    assert report.new_rows == 21 * 64 * 2  # embedding and head
    assert report.projector == (64 * 64 + 64) + (64 * 128 + 128)
    pointer = 3 * 128 * 64 + 1 + 2 + 2  # two queries, key; region gain, objectness, continuation
    pointer += 64 * 2 + 2  # inhibition
    assert report.pointer == (pointer if pointing else 0)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert report.vlm + report.sam + report.depth_tokenizer + report.projector + report.pointer == total
    assert f"{total:,} parameters" in str(report)
    assert "21 new tokens (2,688 parameters" in str(report)
    assert (f"the pointer ({pointer:,} parameters)" in str(report)) is pointing


def test_a_depth_query_begins_as_the_mean_code_and_is_counted(parts: Path, tmp_path: Path) -> None:
    model, processor, report = join(parts, Design(depth_decoding="parallel"))
    codes = model.get_input_embeddings().weight[model.config.depth_code_token_ids]
    torch.testing.assert_close(model.depth_query, codes.mean(0))
    assert f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters: " in str(report)
    assert "the depth query (64 parameters)" in str(report)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert torch.equal(load(tmp_path, device="cpu")[0].depth_query, model.depth_query)


@pytest.mark.parametrize("pointing", [True, False])
def test_a_joined_model_is_saved_loaded_and_asked(parts: Path, tmp_path: Path, pointing: bool) -> None:
    model, processor, _ = join(parts, Design(pointing=pointing), tiles=4)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = Perceptio(*load(tmp_path, device="cpu"))
    assert loaded.model.config.pointing is pointing
    assert loaded.model.config.tie_word_embeddings is False
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], weight), name
    image = picture(256, 128)
    assert loaded.processor.tiles(image) == 3
    answer = loaded.ask(image, "Where is the cube?", seg="on", depth="on", max_new_tokens=40)
    assert (
        answer.trace.raw
        == Perceptio(model, processor)
        .ask(image, "Where is the cube?", seg="on", depth="on", max_new_tokens=40)
        .trace.raw
    )
    assert answer.depth is not None


@pytest.mark.parametrize("absent", ["shared_image_embedding", "prompt_encoder.shared_embedding"])
def test_a_sam_whose_file_holds_one_of_two_equal_weights_is_read(parts: Path, tmp_path: Path, absent: str) -> None:
    shutil.copytree(parts / "sam", tmp_path, dirs_exist_ok=True)  # transformers 4 wrote tied weights once
    weights = load_file(tmp_path / "model.safetensors")
    own = weights.pop(f"{absent}.positional_embedding")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert torch.equal(load_sam(tmp_path).state_dict()[f"{absent}.positional_embedding"], own)


def test_one_tile_switches_tiling_off(parts: Path) -> None:
    assert join(parts, tiles=1)[1].tiles(picture(256, 128)) == 1
    with pytest.raises(ValueError, match="tiles must be a whole number from 1 to 100, not 0"):
        join(parts, tiles=0)


def test_a_prompt_reads_as_transformers_own_internvl_reads_it(parts: Path) -> None:
    model, processor, _ = join(parts, tiles=4)
    batch = processor.prepare([picture(256, 128)], ["Where is the cube?"])
    stock = InternVLForConditionalGeneration.from_pretrained(parts / "vlm").eval()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values")}
    with torch.no_grad():
        expected = stock(**inputs).logits
        found = model.vlm(**inputs).logits
    known = 300
    torch.testing.assert_close(found[..., :known], expected[..., :known])


def test_a_tied_internvl_stays_tied(parts: Path, tmp_path: Path) -> None:
    vlm = load_vlm(parts / "vlm")
    config = vlm.config
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = True
    shutil.copytree(parts / "vlm", tmp_path / "vlm")
    InternVLForConditionalGeneration(config).save_pretrained(tmp_path / "vlm")
    model, _, report = assemble(tmp_path / "vlm", parts / "sam", load_depth_tokenizer(parts / "depth"))
    assert model.config.tie_word_embeddings
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert report.new_rows == 21 * 64


def test_a_head_apart_is_not_tied_by_a_configuration_that_does_not_say_so(parts: Path, tmp_path: Path) -> None:
    # published configurations leave `tie_word_embeddings` out where it had the default of their time
    shutil.copytree(parts / "vlm", tmp_path / "vlm")
    edit(tmp_path / "vlm", lambda config: config.pop("tie_word_embeddings"))
    model, _, _ = assemble(tmp_path / "vlm", parts / "sam", load_depth_tokenizer(parts / "depth"))
    assert not model.config.tie_word_embeddings
    own = load_file(parts / "vlm" / "model.safetensors")
    head = next(weight for name, weight in own.items() if name.endswith("lm_head.weight"))
    torch.testing.assert_close(model.get_output_embeddings().weight[:290], head[:290])


def test_the_published_sam_holds_video_weights_that_are_left_out(parts: Path, tmp_path: Path) -> None:
    plain = nano_sam_config(128)
    video = Sam2VideoConfig(
        vision_config=plain.vision_config.to_dict(),
        prompt_encoder_config={"hidden_size": 128, "image_size": 128},
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=128, mlp_dim=256, num_attention_heads=4, iou_head_hidden_dim=128
        ),
        image_size=128,
        memory_attention_hidden_size=128,
        memory_encoder_hidden_size=128,
        memory_attention_num_layers=1,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
    )
    model = Sam2VideoModel(video)
    model.save_pretrained(tmp_path)
    sam = load_sam(tmp_path)
    assert sam.config.model_type == "sam2"
    assert sam.config.prompt_encoder_config.image_size == 128
    for name, weight in sam.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name]), name


def edit(folder: Path, change: Callable[[dict[str, Any]], object], file: str = "config.json") -> None:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("part", "change", "complaint"),
    [
        ("vlm", {"model_type": "internvl_chat"}, "perceptio convert"),
        ("vlm", {"model_type": "llava"}, "of a model of type 'llava', not an InternVL"),
        ("vlm", {"image_token_id": 3}, "the files are of different models"),
        ("vlm", {"image_seq_length": 16}, r"give 8\^2 visual tokens, but image_seq_length is 16"),
        ("sam", {"model_type": "sam"}, "type 'sam', not a SAM 2"),
        ("sam", {"mask_decoder_config": None}, "mask_decoder_config must be a section"),
    ],
)
def test_other_parts_are_refused(
    parts: Path, tmp_path: Path, part: str, change: dict[str, Any], complaint: str
) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts"))
    edit(folder / part, lambda config: config.update(change))
    with pytest.raises(ValueError, match=complaint):
        join(folder)


def test_tiles_of_another_size_are_refused(parts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts"))
    edit(folder / "vlm", lambda c: c.update(size={"height": 448, "width": 448}), "preprocessor_config.json")
    with pytest.raises(ValueError, match="tiles of 448 x 448 px, but the vision tower reads 128 x 128"):
        join(folder)


def test_a_tokenizer_of_another_model_is_refused(parts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts"))
    for file in ("vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"):
        (folder / "vlm" / file).unlink()
    PerceptioProcessor.from_pretrained(find("nano")).tokenizer.save_pretrained(folder / "vlm")
    with pytest.raises(ValueError, match="the files are of different models"):
        join(folder)


def test_depth_tokens_of_another_codebook_are_refused(parts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts"))
    tokenizer = load_text_tokenizer(folder / "vlm")
    tokenizer.add_tokens(["<DEPTH_0>", "<DEPTH_1>"], special_tokens=True)
    tokenizer.save_pretrained(folder / "vlm")
    with pytest.raises(ValueError, match="has 2 depth tokens already, but the depth tokenizer 16 codes"):
        join(folder)


def test_image_tokens_without_names_are_found_by_their_words(parts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts"))
    names = ("extra_special_tokens", "start_image_token", "end_image_token", "context_image_token")
    edit(folder / "vlm", lambda config: [config.pop(name) for name in names], "tokenizer_config.json")
    assert join(folder)[1].image_token == "<IMG_CONTEXT>"


@pytest.mark.parametrize("part", ["vlm", "sam"])
@pytest.mark.parametrize("kind", ["missing", "unexpected", "of another shape"])
def test_weights_that_do_not_fit_are_listed(parts: Path, tmp_path: Path, part: str, kind: str) -> None:
    folder = Path(shutil.copytree(parts, tmp_path / "parts")) / part
    weights = load_file(folder / "model.safetensors")
    name = "vision_encoder.neck.convs.0.weight" if part == "sam" else "multi_modal_projector.linear_1.weight"
    if kind == "missing":
        del weights[name]
    elif kind == "unexpected":
        name = "surplus"
        weights[name] = torch.zeros(1)
    else:
        weights[name] = torch.zeros(2, 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"{folder}: the weights do not fit .*: {kind}.*{name}"):
        join(folder.parent)


@pytest.mark.parametrize(("part", "read"), [("vlm", load_vlm), ("sam", load_sam)])
def test_weights_that_were_cut_short_are_one_sentence(
    parts: Path, tmp_path: Path, part: str, read: Callable[[Path], Any]
) -> None:
    shutil.copytree(parts / part, tmp_path / part)
    weights = tmp_path / part / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=rf"the weights in .*{part}/model.safetensors are damaged or cut short"):
        read(tmp_path / part)
