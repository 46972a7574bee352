"""Write a trained model for others: in our format, or as a plain InternVL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from transformers import GenerationConfig

from perceptio.files import read_json, replacing_folder
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor

Format = Literal["native", "internvl"]
DEPTH_FOLDER = "depth_tokenizer"  # of a plain InternVL: reads its depth codes
# what the processor writes around a question, as a chat template
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def export(
    model: PerceptioForConditionalGeneration, processor: PerceptioProcessor, out: Path, to: Format, dtype: torch.dtype
) -> list[str]:
    """Write a model in another format.

    Args:
        model: its vision-language model is changed to `dtype` in place.
        processor: of the model.
        out: folder to write; what is there is replaced.
        to: "native": our own format; "internvl": a plain InternVL.
        dtype: of the vision-language model's weights; SAM 2 and the projector stay in float32.

    Returns:
        Sentences about what the format cannot hold.
    """
    model.vlm.to(dtype)
    with replacing_folder(out) as beside:
        if to == "native":
            model.save_pretrained(beside)
            processor.save_pretrained(beside)
        else:
            save_internvl(model, processor, beside)
    return lost(model.config) if to == "internvl" else []


def save_internvl(model: PerceptioForConditionalGeneration, processor: PerceptioProcessor, folder: Path) -> None:
    """Write what stock transformers reads as an InternVL with its processor, and the depth tokenizer in a folder.

    The files of the processor are written one by one: transformers' own would want a video processor, and torchvision.
    """
    model.vlm.generation_config = GenerationConfig(
        eos_token_id=model.config.end_token_id, pad_token_id=processor.tokenizer.pad_token_id
    )
    model.vlm.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    _use_older_names(folder / "tokenizer_config.json")
    processor.image_processor.save_pretrained(folder)
    content = {"image_seq_length": processor.image_seq_length, "processor_class": "InternVLProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(content, indent=2))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    model.depth_tokenizer.save_pretrained(folder / DEPTH_FOLDER)


def _use_older_names(path: Path) -> None:
    """Write the settings of a saved tokenizer as transformers 4 reads them; 5 reads both."""
    config = read_json(path)
    for own in ("is_local", "local_files_only", "backend"):
        config.pop(own, None)
    config["additional_special_tokens"] = config.pop("extra_special_tokens", [])
    config["extra_special_tokens"] = config.pop("model_specific_special_tokens", {})
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def lost(config: PerceptioConfig) -> list[str]:
    """What a plain InternVL cannot do that this model can, in sentences."""
    sentences = [
        "masks are lost: [SEG] is an ordinary token, and SAM 2 and the projector are left behind",
        f"depth codes are ordinary tokens: {DEPTH_FOLDER}/ turns them into a map, and no grammar keeps their number",
    ]
    if config.pointing:
        sentences.append(
            "answers with [SEG] differ: the input after it carries what this model's pointer found, and another [SEG] "
            "depends on it; a plain InternVL has no pointer (init and train with --no-pointing avoids that)"
        )
    if config.depth_decoding == "parallel":
        sentences.append(
            "depth codes come one after the other, not all at once: the query that this model learnt for that is left "
            "behind"
        )
    if config.depth_positions == "image":
        sentences.append(
            "depth spans will be wrong: this model reads them at the places of the picture, a plain InternVL in "
            "sequence (init and train with --depth-positions sequence avoids that)"
        )
    return sentences
