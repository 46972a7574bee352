"""Exports: ours read back, and a plain InternVL that stock transformers reads and that answers as our model does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, GotOcr2ImageProcessorPil, InternVLForConditionalGeneration

from perceptio.checkpoints.assemble import assemble
from perceptio.checkpoints.export import export, lost
from perceptio.cli import main
from perceptio.decoding.engine import decode
from perceptio.decoding.grammar import SpatialGrammar
from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.reading import prefill
from perceptio.model.design import Design
from perceptio.model.loading import load, load_depth_tokenizer
from perceptio.tokens import Switch, parse
from perceptio.training.finetune.lora import LoraPlan, adapt, new_rows, save_adapter

BUDGET = 40


@pytest.fixture(scope="module")
def joined(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of the default design: what a plain InternVL can hold."""
    torch.manual_seed(0)
    depth = load_depth_tokenizer(parts / "depth")
    model, processor, _ = assemble(parts / "vlm", parts / "sam", depth, Design(), tiles=3)
    with torch.no_grad():  # rows that differ, and are written now and then
        vocabulary = model.config.vocabulary
        ids = [vocabulary.seg, vocabulary.depth_start, *vocabulary.codes, vocabulary.depth_end]
        for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            weight[ids] = 0.4 * torch.randn(len(ids), weight.shape[1])
    folder = tmp_path_factory.mktemp("joined")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_a_plain_tokenizer_has_settings_that_transformers_4_reads(joined: Path, tmp_path: Path) -> None:
    model, processor = load(joined, device="cpu")
    export(model, processor, tmp_path / "out", "internvl", torch.float32)
    stored = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert stored["extra_special_tokens"]["context_image_token"] == "<IMG_CONTEXT>"  # a list would be an error there
    assert "<|im_end|>" in stored["additional_special_tokens"]
    assert stored["tokenizer_class"] == "Qwen2Tokenizer"
    again = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.context_image_token_id == processor.image_token_id
    assert again.get_vocab() == processor.tokenizer.get_vocab()


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_a_native_export_is_the_same_model(joined: Path, tmp_path: Path) -> None:
    model, processor = load(joined, device="cpu")
    assert export(model, processor, tmp_path / "out", "native", torch.float32) == []
    again = load(tmp_path / "out", device="cpu")[0]
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name
    assert [path.suffix for path in (tmp_path / "out").glob("*.safetensors")] == [".safetensors"]


def test_precision_is_that_of_the_vision_language_model_alone(joined: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    export(*load(joined, device="cpu"), tmp_path / "out", "native", torch.bfloat16)
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        kinds = {name.split(".")[0]: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118
    assert kinds["vlm"] is torch.bfloat16
    assert kinds["sam"] is torch.float32
    assert kinds["projector"] is torch.float32


def test_an_adapter_is_merged(joined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = load(joined, device="cpu")
    adapted = adapt(model, LoraPlan(rank=2, alpha=4), new_rows(processor.tokenizer, model.config.vocabulary))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    save_adapter(adapted, tmp_path / "adapter")
    tokens = processor.tokens(["Show the depth map."], tiles=[processor.tiles(picture())])
    pixels, _ = processor.pixels([picture()])
    with torch.no_grad():
        expected = model.eval().vlm(**tokens, pixel_values=pixels).logits
    plain = load(joined, device="cpu")[0]
    for to in ("native", "internvl"):
        arguments = ("--out", tmp_path / to, "--to", to, "--dtype", "float32", "--adapter", tmp_path / "adapter")
        assert run(monkeypatch, "export", joined, *arguments) == 0
    merged = load(tmp_path / "native", device="cpu")[0]
    stock = InternVLForConditionalGeneration.from_pretrained(tmp_path / "internvl").eval()
    with torch.no_grad():
        before = plain.vlm(**tokens, pixel_values=pixels).logits
        for found in (merged.vlm, stock):
            torch.testing.assert_close(found(**tokens, pixel_values=pixels).logits, expected, rtol=1e-3, atol=1e-3)
    assert (before - expected).abs().max() > 0.1
    for name, weight in merged.projector.state_dict().items():  # a part that trains whole
        assert torch.equal(weight, model.projector.state_dict()[name])
        assert not torch.equal(weight, plain.projector.state_dict()[name])


@pytest.mark.parametrize("constrained", [True, False])
@torch.no_grad()
def test_stock_transformers_writes_the_same_depth_tokens(
    joined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constrained: bool
) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, "export", joined, "--out", out, "--to", "internvl", "--dtype", "float32") == 0
    model, processor = load(joined, device="cpu")
    vocabulary = model.config.vocabulary
    switches = (Switch.OFF,), (Switch.ON,)
    tokens = processor.tokens(["Show the depth map."], *switches, [processor.tiles(picture())])
    pixels, _ = processor.pixels([picture()])
    start = prefill(model, tokens["input_ids"], tokens["attention_mask"], pixels)
    options = DecodingOptions(*switches, constrained=constrained, max_new_tokens=BUDGET)
    expected = decode(model, start, options)[0].ids
    # from here on nothing of ours but the grammar
    stock = InternVLForConditionalGeneration.from_pretrained(out).eval()
    tokenizer, image_processor = AutoTokenizer.from_pretrained(out), GotOcr2ImageProcessorPil.from_pretrained(out)
    seen = image_processor(picture(), return_tensors="pt")["pixel_values"]
    assert torch.equal(seen, pixels)
    image = "<img>" + "<IMG_CONTEXT>" * 64 * len(seen) + "</img>"
    question = "Show the depth map."
    text = f"<|im_start|>user\n{image}\n{question}<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert torch.equal(ids, tokens["input_ids"])
    grammar = [SpatialGrammar(vocabulary, ids.shape[1], *switches)] if constrained else []
    written = stock.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=seen,
        max_new_tokens=BUDGET,
        do_sample=False,
        logits_processor=grammar,
    )
    assert tuple(written[0, ids.shape[1] :].tolist()) == expected
    if constrained:
        codes = parse(vocabulary, expected).codes
        assert codes is not None
        decoder = load_depth_tokenizer(out / "depth_tokenizer")
        torch.testing.assert_close(
            decoder.decode(torch.tensor([codes])), model.depth_tokenizer.decode(torch.tensor([codes]))
        )


def test_the_chat_template_writes_what_the_processor_writes(joined: Path, tmp_path: Path) -> None:
    model, processor = load(joined, device="cpu")
    export(model, processor, tmp_path / "out", "internvl", torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    parts = [{"type": "image"}, {"type": "text", "text": "Show the depth map."}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
    )
    whole = text.replace("<IMG_CONTEXT>", "<img>" + "<IMG_CONTEXT>" * 64 + "</img>")
    assert tokenizer.encode(whole) == processor.tokens(["Show the depth map."])["input_ids"][0].tolist()


def test_what_is_lost_is_said(
    parts: Path, tmp_path: Path, joined: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = load_depth_tokenizer(parts / "depth")
    ours = Design(depth_positions="image", pointing=True, depth_decoding="parallel")
    pointing, _, _ = assemble(parts / "vlm", parts / "sam", depth, ours)
    assert len(lost(pointing.config)) == 5
    assert "pointer" in lost(pointing.config)[2]
    assert "one after the other" in lost(pointing.config)[3]
    assert "depth spans will be wrong" in lost(pointing.config)[4]
    assert run(monkeypatch, "export", joined, "--out", tmp_path / "out", "--to", "internvl") == 0
    said = capsys.readouterr()
    assert said.err.count("warning: ") == 2
    assert "masks are lost" in said.err
    assert said.out == f"wrote {tmp_path / 'out'}/\n"
    assert run(monkeypatch, "export", joined, "--out", tmp_path / "out") == 1
    assert "is there already" in capsys.readouterr().err
