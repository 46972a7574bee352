"""Visual tokens near the words for what they show, before any question is asked.

A language model that starts from nothing has to find out at once what the picture shows and what the words mean, and
found neither in our runs: it learnt how answers sound and guessed the rest. Pre-trained parents come with both. Here,
for some hundred steps, the projector (and, slowly, the tower) learns to put every visual token close to the embeddings
of the words for its object. [ours], a stand-in for InternVL's own pre-training of the projector; docs/experiments.md.

Shapes: B images, S side, g patches along a side, V visual tokens (2 x 2 patches each), W words, D the language model's
width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import InternVLModel, PreTrainedTokenizerBase

from perceptio.data.marks import LETTERS
from perceptio.scenes.tabletop.lexicon import LEXICON
from perceptio.scenes.tabletop.world import COLORS, MATERIALS, SHAPES, SIZES
from perceptio.segmentation.preprocess import normalize

# the words, by the target of `dense_sample` and the number of the class that is the first word
_WORDS: dict[str, tuple[tuple[str, ...], int]] = {
    "shape": (tuple(LEXICON.nouns[shape].word.singular for shape in SHAPES), 1),  # class 0 is "nothing"
    "color": (tuple(COLORS), 0),
    "material": (tuple(MATERIALS), 0),
    "size": (tuple(SIZES), 0),
    "letter": (tuple(LETTERS), 1),
}
_LENGTH = 0.01  # weight of the embeddings' length, against that of their direction


class WordAlignment(nn.Module):
    """A vision tower and projector in training; the language model's embeddings stay.

    Args:
        model: without a head; its language model is frozen.
        tokenizer: of the model. A word of several tokens is stood for by its first.
    """

    def __init__(self, model: InternVLModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.model = model
        model.language_model.requires_grad_(False)
        words = [f" {word}" for names, _ in _WORDS.values() for word in names]
        first = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
        self.register_buffer("ids", torch.tensor(first), persistent=False)
        # a cosine of 0.3 is a coin toss at first
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.full((len(words),), -3.0))

    def forward(self, pixels: Tensor, **targets: Tensor) -> dict[str, Any]:
        """Binary cross-entropy of each word at each visual token, and how far the tokens' length is from the words'.

        Args:
            pixels: (B, 3, S, S) uint8.
            targets: as from `dense_sample`; those without words are not used.
        """
        seen = self.model.get_image_features(pixel_values=normalize(pixels), return_dict=True).pooler_output.float()
        table_WD = self.model.get_input_embeddings().weight[self.ids].detach()
        cosines = F.normalize(seen, dim=-1) @ F.normalize(table_WD, dim=-1).T  # (B, V, W)
        wanted = shown_words(targets)
        logits = cosines * self.scale + self.bias
        match = F.binary_cross_entropy_with_logits(logits, wanted)
        length = (seen.square().mean() / table_WD.square().mean()).log().square() / 4  # of the ratio of their RMS
        losses = {"match": match.detach(), "length": length.detach()}
        return {"loss": match + _LENGTH * length, "losses": losses | self._accuracies(logits.detach(), wanted)}

    @staticmethod
    def _accuracies(logits: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """How often the likeliest shape (colour) is there, over the visual tokens that show an object."""
        report, start = {}, 0
        for name, (words, _) in _WORDS.items():
            part = slice(start, start + len(words))
            start += len(words)
            if name in ("shape", "color", "letter"):
                there = wanted[..., part].any(-1)
                right = wanted[..., part].gather(-1, logits[..., part].argmax(-1, keepdim=True))[..., 0]
                report[f"{name}_accuracy"] = right[there].mean().nan_to_num()
        return report


def shown_words(targets: dict[str, Tensor]) -> Tensor:
    """Which words fit some patch of each visual token: (B, V, W) float32, 0 or 1.

    Args:
        targets: `shape`, `color`, `material`, `size` (B, g, g) int64 as from `dense_sample`, g even.
    """
    parts = []
    for name, (words, first) in _WORDS.items():
        classes = torch.arange(first, first + len(words), device=targets[name].device)
        fits = (targets[name][..., None] == classes).float().permute(0, 3, 1, 2)  # (B, words, g, g)
        parts.append(F.max_pool2d(fits, 2).flatten(2).transpose(1, 2))
    return torch.cat(parts, -1)
