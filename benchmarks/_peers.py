"""How peers answer, written from the description of Sa2VA (arXiv 2501.04001) and its like.

`generate` of transformers on one sample a call: one call of the language model a token, logits of the whole
vocabulary, the hidden states of all layers of all steps kept; then for each `[SEG]` SAM 2's image encoder and its mask
decoder; then the depth map. The grammar is ours, so that both write the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch.nn import functional as F

from perceptio.decoding.grammar import SpatialGrammar
from perceptio.decoding.options import DecodingOptions
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch, parse


@dataclass(frozen=True)
class PeerAnswer:
    """What was written, and what was held to write it."""

    ids: tuple[int, ...]
    masks: int
    state_bytes: int  # of the hidden states that were kept


def plain(model: Perceptio) -> Perceptio:
    """The same weights less what `generate` knows nothing of: the pointer, and codes at the places of the picture.

    It answers worse, but all ways of decoding it write the same tokens.
    """
    own = {"pointing": False, "depth_positions": "sequence", "depth_decoding": "exact"}
    config = PerceptioConfig(**{**model.model.config.to_dict(), **own})
    copy = PerceptioForConditionalGeneration(config)
    weights = model.model.state_dict()
    copy.load_state_dict({name: weights[name] for name in copy.state_dict()})
    copy.vlm.to(model.model.vlm.dtype)  # the other parts stay in float32
    return Perceptio(copy.to(model.model.device).eval(), model.processor, model.name)


@torch.no_grad()
def answer(model: Perceptio, image: Image.Image, prompt: str, seg: Switch, depth: Switch) -> PeerAnswer:
    """Answer one question as peers do."""
    network, processor = model.model, model.processor
    vocabulary = network.config.vocabulary
    tokens = processor.tokens([prompt], seg, depth, [processor.tiles(image)])
    pixels, sam_pixels = processor.pixels([image])
    length = tokens["input_ids"].shape[1]
    options = DecodingOptions((seg,), (depth,))
    output = network.vlm.generate(
        input_ids=tokens["input_ids"].to(network.device),
        attention_mask=tokens["attention_mask"].to(network.device),
        pixel_values=pixels.to(network.device, network.vlm.dtype),
        max_new_tokens=options.budget(vocabulary),
        do_sample=False,
        eos_token_id=vocabulary.end_of_text,
        pad_token_id=vocabulary.end_of_text,
        logits_processor=[SpatialGrammar(vocabulary, length, [seg], [depth])],
        output_hidden_states=True,
        return_dict_in_generate=True,
    )
    ids = tuple(output.sequences[0, length:].tolist())
    parsed = parse(vocabulary, ids)
    for place in parsed.segments:
        state = output.hidden_states[place + 1][-1][:, -1]  # of the step that has read the [SEG]
        features = network.image_features(sam_pixels.to(network.device))  # again
        found = network.segment(state, torch.zeros(1, dtype=torch.long, device=network.device), features)
        F.interpolate(found.logits[None], image.size[::-1], mode="bilinear")
    if parsed.codes is not None:
        codes = torch.tensor([parsed.codes], device=network.device)
        F.interpolate(network.depth_tokenizer.decode(codes), image.size[::-1], mode="bilinear")
    held = sum(layer.numel() * layer.element_size() for step in output.hidden_states for layer in step)
    return PeerAnswer(ids, len(parsed.segments), held)
