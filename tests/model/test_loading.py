"""What is wrong with a model that cannot be loaded, in one sentence."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from perceptio.model.loading import find, find_device, load, load_depth_tokenizer
from perceptio.pipeline import Perceptio
from perceptio.pretrained.folder import ModelError


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model to spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def refused(folder: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        Perceptio.from_pretrained(folder, device="cpu")
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def edit_json(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["nanoo", "", "nano/", "../nano", "a\0b", "x" * 5000])
def test_unknown_name_is_refused(name: str) -> None:
    assert refused(name).startswith(f"there is no model {name!r}: give 'nano', a folder, or a hub id")


def test_unknown_path_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").startswith(f"there is no model '{tmp_path / 'none'}'")


def test_hub_id_without_a_network_is_refused() -> None:
    assert "the hub cannot be reached" in refused("no-such-organisation/no-such-model")


def test_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    assert refused(file).startswith(f"{file} is a file, not a model's folder")


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json", "model.safetensors"]
)
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refused(folder) == f"{folder} is no complete model: {name} missing"


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json", "model.safetensors"]
)
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_truncated_file_is_refused(folder: Path, name: str, kept: float) -> None:
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    message = refused(folder)
    assert str(folder) in message
    if name == "model.safetensors":
        assert "damaged or cut short" in message


def test_model_of_another_type_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "qwen2"}))
    assert refused(folder) == f"{folder / 'config.json'} is of a model of type 'qwen2', not a Perceptio model"


def test_missing_weight_is_named(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.pop("projector.layers.0.weight"))
    assert "missing: projector.layers.0.weight (1 in all)" in refused(folder)


def test_unexpected_weight_is_named(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.update({"projector.extra": torch.zeros(2)}))
    assert "unexpected: projector.extra (1 in all)" in refused(folder)


def test_weight_of_another_shape_is_refused(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.update({"projector.layers.0.weight": torch.zeros(2, 2)}))
    assert "projector.layers.0.weight" in refused(folder)


def test_unknown_device_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="no device 'abacus'"):
        Perceptio.from_pretrained(tiny_folder, device="abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="no device 'cuda'"):
        Perceptio.from_pretrained(tiny_folder, device="cuda")


def test_depth_tokenizer_loads_from_a_model_or_alone(tiny: Perceptio, tiny_folder: Path, tmp_path: Path) -> None:
    tiny.model.depth_tokenizer.save_pretrained(tmp_path / "alone")
    codes = torch.arange(16)[None]
    expected = tiny.model.depth_tokenizer.decode(codes)
    for place in (tiny_folder, tmp_path / "alone"):
        torch.testing.assert_close(load_depth_tokenizer(place).decode(codes), expected)
    (tmp_path / "alone" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"alone/model\.safetensors are damaged or cut short"):
        load_depth_tokenizer(tmp_path / "alone")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json"])
@pytest.mark.parametrize("content", [b"null", b"[]", b"\xff\xfe", b"{}"])
def test_file_of_other_content_is_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert str(folder) in refused(folder)


@pytest.mark.parametrize("section", ["vlm", "sam", "depth"])
@pytest.mark.parametrize("value", [None, "text"])
def test_absent_part_of_the_configuration_is_named(folder: Path, section: str, value: str | None) -> None:
    # a default in its place has billions of weights: the load must stop before one is made
    edit_json(folder, "config.json", lambda config: config.update({section: value}))
    assert refused(folder) == f"{folder / 'config.json'}: {section} must be a section of fields, not {value!r}"


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("config.json", {"seg_token_id": 5}, "its tokenizer and config.json disagree about the token [SEG]"),
        ("config.json", {"depth_end_token_id": 99999}, "disagree about the token <DEPTH_END>"),
        ("config.json", {"seg_token_id": -1}, "no spatial tokens"),
        ("config.json", {"end_token_id": "x"}, "end_token_id must be a whole number"),
        ("tokenizer.json", {"added_tokens": []}, "disagree about the token [SEG]"),
        ("tokenizer.json", {"model": None}, "tokenizer.json cannot be used"),
        ("processor_config.json", {"image_seq_length": 5}, "has image_seq_length 5 but the model needs 64"),
        ("processor_config.json", {"sam_image_size": 64}, "has sam_image_size 64 but the model needs 128"),
    ],
)
def test_files_of_different_models_are_refused(folder: Path, file: str, change: dict[str, Any], complaint: str) -> None:
    edit_json(folder, file, lambda content: content.update(change))
    assert complaint in refused(folder)


def test_tiles_of_another_size_are_refused(folder: Path) -> None:
    size = {"height": 64, "width": 64}
    edit_json(folder, "processor_config.json", lambda content: content["image_processor"].update(size=size))
    assert "processor_config.json has image_processor's size (64, 64) but the model needs (128, 128)" in refused(folder)


def test_tokens_beyond_the_embeddings_are_refused(folder: Path) -> None:
    def grow(content: dict[str, Any]) -> None:
        last = max(content["added_tokens"], key=lambda token: token["id"])
        content["added_tokens"].append({**last, "id": last["id"] + 1, "content": "<surplus>"})

    edit_json(folder, "tokenizer.json", grow)
    assert "has more tokens than the model has embeddings" in refused(folder)


@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        ("config.json", "depth.blocks", 10**9),
        ("config.json", "depth.image_size", 10**9),
        ("config.json", "depth.downsample", 0.5),
        ("config.json", "depth_code_token_ids", ["x"]),
        ("config.json", "pointing", 1),
        ("config.json", "order", None),
        ("config.json", "vlm.text_config.num_hidden_layers", 10**9),
        ("config.json", "vlm.text_config.rope_parameters.rope_theta", -1),
        ("config.json", "vlm.text_config.max_position_embeddings", 100),
        ("config.json", "vlm.vision_feature_layer", 7),
        ("config.json", "sam.mask_decoder_config.num_hidden_layers", 10**9),
        ("config.json", "sam.vision_config.backbone_config.patch_padding", -1),
        ("processor_config.json", "context_length", [1] * 2000),
        ("processor_config.json", "context_length", 1),
        ("processor_config.json", "sam_image_size", 128.0),
        ("processor_config.json", "image_processor.image_std", [0.2, 0.0, 0.2]),
        ("processor_config.json", "image_processor.image_mean", [0.5, None, 0.5]),
        ("processor_config.json", "image_processor.rescale_factor", 1.0),
        ("processor_config.json", "image_processor.do_rescale", False),
        ("processor_config.json", "image_processor.resample", 99),
        ("processor_config.json", "image_processor.size", {"height": 128}),
        ("processor_config.json", "image_processor.crop_to_patches", "x"),
        ("processor_config.json", "image_processor.max_patches", 10**9),
        ("processor_config.json", "image_processor.min_patches", 50),
        ("tokenizer_config.json", "pad_token", None),
        ("tokenizer_config.json", "start_image_token", "the"),
        ("tokenizer_config.json", "padding_side", 5),
    ],
)
def test_wrong_field_is_named_before_anything_is_built(folder: Path, file: str, path: str, value: Any) -> None:
    *sections, name = path.split(".")

    def change(content: dict[str, Any]) -> None:
        for section in sections:
            content = content[section]
        content[name] = value

    edit_json(folder, file, change)
    message = refused(folder)
    assert file in message
    assert name in message
    assert len(message) < 500


def test_fields_of_the_library_decide_nothing(tiny: Perceptio, folder: Path) -> None:
    odd = {
        "to_dict": 5,
        "quantization_config": {"quant_method": "gptq"},
        "transformers_weights": "x.bin",
        "dtype": "int8",
    }
    edit_json(folder, "config.json", lambda config: config.update(odd, auto_map={"AutoModel": "evil.Model"}))
    edit_json(folder, "config.json", lambda config: config["vlm"]["text_config"].update(odd))
    model, _ = load(folder, device="cpu")
    assert all(torch.equal(value, tiny.model.state_dict()[name]) for name, value in model.state_dict().items())


def test_deeply_nested_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    assert str(folder / "config.json") in refused(folder)


@pytest.mark.parametrize(
    "name", ["mps", "xpu", "meta", "vulkan", "mkldnn", "hpu", "gpu", "cuda:99", "npu", "cpu:x", ""]
)
def test_device_that_is_not_there_is_one_sentence(name: str) -> None:
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is one")
    with pytest.raises(ModelError, match=f"^this machine offers no device '{name}'"):
        find_device(name)
    assert find_device("cpu").type == "cpu"


def test_shard_that_is_not_there_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"projector.layers.0.weight": "gone.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "gone.safetensors" in refused(folder)


def test_shipped_model_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perceptio.pretrained.folder.SHIPPED", ("pico",))
    with pytest.raises(ModelError, match=r"this installation lacks the model 'pico' \(.*assets.pico\)"):
        find("pico")


def test_loading_is_silent_about_its_own_kind_of_model(tiny_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        Perceptio.from_pretrained(tiny_folder)
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_in_bfloat16_only_the_vision_language_model_is_rounded(tiny: Perceptio, tiny_folder: Path) -> None:
    """SAM 2's masks and the borders between two depth codes suffer from it."""
    model, _ = load(tiny_folder, device="cpu", dtype=torch.bfloat16)
    assert {value.dtype for value in model.vlm.parameters()} == {torch.bfloat16}
    for part in ("sam", "depth_tokenizer", "projector"):
        found, expected = getattr(model, part).state_dict(), getattr(tiny.model, part).state_dict()
        assert all(torch.equal(found[name], value) for name, value in expected.items())
