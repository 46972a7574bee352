"""Does a converted Sa2VA answer as the published module does? Both are built tiny, with one set of random weights (but
for SAM 2.1 large, whose size is fixed there), and asked the same on the CPU.

    git clone https://github.com/bytedance/Sa2VA
    python research/sa2va.py Sa2VA

The module is the checkout's own code, changed only where it insists on a GPU. Where torchvision and timm are missing,
the six functions of theirs that it calls are stood in for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from _common import parser
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from perceptio.checkpoints.conversion.checkpoint import convert_checkpoint
from perceptio.cli.errors import reporting
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.vocabulary import PADDING, TURN_END, TURN_START
from perceptio.pipeline import Perceptio

ROOM = Path("projects") / "sa2va" / "hf" / "models"
UNUSED = ("modeling_internlm2", "modeling_phi3")  # of other language models, for older libraries
WORDS = 24  # tokens of an answer
QUESTIONS = ("Please segment the cube.", "Describe the picture.")
SIZES = ((448, 448), (300, 200))  # of pictures, px: one tile, and six with a thumbnail
SPECIALS = [PADDING, TURN_START, TURN_END, "<img>", "</img>", "<IMG_CONTEXT>", "[SEG]", "<p>", "</p>", "<vp>", "</vp>"]
TEXT = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "rope_theta": 1e6,
    "bos_token_id": None,
}
VISION = {
    "architectures": ["InternVisionModel"],
    "model_type": "intern_vit_6b",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 448,
    "patch_size": 14,
    "num_channels": 3,
    "qkv_bias": True,
    "qk_normalization": False,
    "norm_type": "layer_norm",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "drop_path_rate": 0.0,
}


def published(checkout: Path, folder: Path) -> tuple[ModuleType, ModuleType]:
    """The checkout's modules of configuration and model, made to run on a CPU.

    Raises:
        ValueError: if the checkout holds no such modules.
    """
    if not (checkout / ROOM / "modeling_sa2va_chat.py").is_file():
        raise ValueError(f"{checkout} is no checkout of bytedance/Sa2VA: {ROOM} is missing")
    package = folder / "published_sa2va"
    package.mkdir()
    for path in (checkout / ROOM).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\.cuda\((non_blocking=True)?\)", "", text).replace(
            'torch.device("cuda")', 'torch.device("cpu")'
        )
        if path.stem in UNUSED:
            text = "class InternLM2ForCausalLM: pass\nclass Phi3ForCausalLM: pass\n"
        (package / path.name).write_text(text, encoding="utf-8")
    stand_in()
    sys.path.insert(0, str(folder))
    names = ("configuration_sa2va_chat", "modeling_sa2va_chat")
    configuration, modeling = (importlib.import_module(f"published_sa2va.{name}") for name in names)
    return configuration, modeling


def stand_in() -> None:
    """What the module calls of libraries that are not here."""
    if importlib.util.find_spec("torchvision") is None:
        transforms, functional = module("torchvision.transforms"), module("torchvision.transforms.functional")
        transforms.Compose = lambda steps: lambda value: [value := step(value) for step in steps][-1]
        transforms.Lambda = lambda function: function
        transforms.Resize = lambda size, interpolation: lambda image: image.resize(size[::-1], interpolation)
        transforms.ToTensor = lambda: lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        transforms.Normalize = lambda mean, std: (
            lambda values: (values - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        )
        functional.InterpolationMode = Image.Resampling
        functional.to_pil_image = lambda array, mode=None: Image.fromarray(array)
        functional.resize = None
        module("torchvision").transforms = transforms
        transforms.functional = functional
    if importlib.util.find_spec("timm") is None:
        layers = module("timm.models.layers")
        layers.DropPath, layers.trunc_normal_ = torch.nn.Identity, torch.nn.init.trunc_normal_
        module("timm"), module("timm.models")


def module(name: str) -> Any:
    """An empty module of that name, where imports find it."""
    return sys.modules.setdefault(name, ModuleType(name))


def write_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with Sa2VA's added tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIALS)
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=TURN_END, pad_token=PADDING).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def build(checkout: Path, folder: Path, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The published model with random weights that write [SEG] now and then, also saved in `folder`."""
    configuration, modeling = published(checkout, folder)
    torch.manual_seed(0)
    text = TEXT | {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    config = configuration.Sa2VAChatConfig(
        vision_config=dict(VISION), llm_config=text, force_image_size=448, template="qwen_chat", ps_version="v2",
        architectures=["Sa2VAChatModel"],
    )  # fmt: skip
    model = modeling.Sa2VAChatModel(config, use_flash_attn=False).float().eval()
    with torch.no_grad():
        for part, spread in ((model.language_model, 0.25), (model.vision_model, 0.2)):
            for weight in part.parameters():
                if weight.dim() == 2:
                    weight.normal_(std=spread)
        seg = tokenizer.convert_tokens_to_ids("[SEG]")
        model.language_model.lm_head.weight[seg] = 2 * torch.randn(64, generator=torch.Generator().manual_seed(3))
    save_file(
        {name: value.contiguous().clone() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )
    stored = config.to_dict()
    stored["llm_config"].pop("dtype", None)
    (folder / "config.json").write_text(json.dumps(stored, default=str), encoding="utf-8")
    return model


def compare(checkout: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tokenizer = write_tokenizer(folder)
        theirs = build(checkout, folder, tokenizer)
        depth = DepthTokenizer(
            DepthTokenizerConfig(image_size=32, downsample=8, codes=16, code_dim=8, width=16, blocks=1)
        )
        ours = Perceptio(*convert_checkpoint(folder, depth.eval())[:2])
        theirs.preparing_for_generation(tokenizer, max_new_tokens=WORDS, torch_dtype=torch.float32)
        for seed, (width, height) in enumerate(SIZES):
            noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
            for question in QUESTIONS:
                ask(theirs, ours, Image.fromarray(noise), question, tokenizer)


@torch.no_grad()
def ask(theirs: Any, ours: Perceptio, image: Image.Image, question: str, tokenizer: PreTrainedTokenizerFast) -> None:
    expected = theirs.predict_forward(image=image, text=f"<image>\n{question}", tokenizer=tokenizer)
    answer = ours.ask(image, question, constrained=False, max_new_tokens=WORDS)
    # theirs leaves out a [SEG] that is the last token of all
    pairs = zip([mask[0] for mask in expected["prediction_masks"]], answer.masks, strict=False)
    shares = [f"{(mask != found.array).mean():.2%}" for mask, found in pairs]
    same = "the same" if answer.trace.raw.strip() == expected["prediction"] else "OTHER"
    print(
        f"{image.width} x {image.height}, {ours.processor.tiles(image)} tiles, {question!r}: {same} words; pixels of "
        f"masks that differ: {', '.join(shares) or 'no masks'}"
    )


@reporting()
def main() -> None:
    options = parser(__doc__)
    options.add_argument("checkout", type=Path, help="of bytedance/Sa2VA")
    compare(options.parse_args().checkout)


if __name__ == "__main__":
    main()
