"""Images and prompts -> tensors: InternVL's processor without its video part, and SAM2's pixels beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, get_args

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BatchFeature, InternVLProcessor
from transformers.processing_utils import ProcessorMixin

from perceptio.model.detokenizer import Detokenizer
from perceptio.model.image_processor import read_image_processor
from perceptio.model.vocabulary import IMAGE_TOKENS, TILE_TOKENS
from perceptio.pretrained.fields import FLAG, SECTION, Fields, choice, read_fields, required, shown, whole
from perceptio.pretrained.folder import naming, read_object
from perceptio.pretrained.text_files import read_text_tokenizer
from perceptio.segmentation.preprocess import Resampling, preprocess
from perceptio.tokens import Switch

_LONGEST_TOKEN = 256  # letters
_FIELDS: Fields = {
    "image_processor": required(SECTION),
    "image_seq_length": required(whole(1, 100_000)),
    "sam_image_size": required(whole(1, 8192)),
    "context_length": required(whole(1, 100_000_000)),
    "sam_resampling": choice(*get_args(Resampling)),
    "switch_words": FLAG,
}


class PerceptioProcessor(InternVLProcessor):
    """Builds the token ids of a question about one image, and the pixels of both image encoders.

    An image is one square tile, or, where the image processor says `crop_to_patches`, InternVL's dynamic tiling: up to
    `max_patches` tiles in raster order and then the whole picture as a thumbnail (a picture that fits one tile has no
    other). Masks, depth and pointing always refer to the last tile, the whole picture. The user's words are encoded as
    plain text: a special token typed by a user never becomes a control token. Threads may share a processor: text goes
    through two tokenizers of its own, which nothing changes.

    Args:
        image_processor: InternVL's image processor (PIL class; no torchvision).
        tokenizer: extended with the spatial tokens.
        image_seq_length: visual tokens a tile.
        sam_image_size: side of SAM2's input, px.
        context_length: longest sequence that the language model was built for, tokens.
        sam_resampling: by which a picture is resized for SAM2.
        switch_words: whether a question says in words which spans are wanted; a model that was never taught so reads it
            as part of the question.

    Raises:
        ValueError: if the tokenizer does not name InternVL's image tokens.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        image_seq_length: int = 256,
        sam_image_size: int = 1024,
        context_length: int = 32768,
        sam_resampling: Resampling = "bilinear",
        switch_words: bool = True,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        for name in TILE_TOKENS:
            if getattr(tokenizer, name, None) != IMAGE_TOKENS[name]:
                found = shown(getattr(tokenizer, name, None))
                raise ValueError(f"tokenizer_config.json must have the {name} {IMAGE_TOKENS[name]!r}, not {found}")
        # InternVLProcessor.__init__ insists on a video processor, which needs torchvision
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template, **kwargs)
        self.image_seq_length = image_seq_length
        self.sam_image_size = sam_image_size
        self.context_length = context_length
        self.sam_resampling: Resampling = sam_resampling
        self.switch_words = switch_words
        self.start_image_token = tokenizer.start_image_token
        self.end_image_token = tokenizer.end_image_token
        self.image_token = tokenizer.context_image_token
        self.image_token_id = tokenizer.context_image_token_id
        self._control_tokenizer = _fixed(tokenizer, plain=False)
        self._plain_tokenizer = _fixed(tokenizer, plain=True)
        self._begin = _begin(self._control_tokenizer)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], **options: Any) -> Self:
        """The processor of a model's folder.

        Args:
            folder: a folder, not a hub id.
            options: none; transformers' own have no meaning here.

        Raises:
            ModelError: if a file is missing or damaged, or a field holds what it may not.
        """
        if options:
            raise TypeError(f"unknown options: {', '.join(options)}")
        path = Path(folder) / "processor_config.json"
        stored = read_object(path)
        with naming(path):
            fields = read_fields(stored, _FIELDS)
            image_processor = read_image_processor(fields.pop("image_processor"), "image_processor")
        tokenizer = read_text_tokenizer(Path(folder))
        with naming(Path(folder)):
            return cls(image_processor=image_processor, tokenizer=tokenizer, **fields)

    def switch_suffix(self, seg: Switch, depth: Switch) -> str:
        """The words that tell the model which spans are wanted; none where it may choose, or was not taught them."""
        if not self.switch_words or (seg is Switch.AUTO and depth is Switch.AUTO):
            return ""
        return f" [perception: seg={seg} depth={depth}]"

    def tiles(self, image: Image.Image) -> int:
        """Number of tiles that an image becomes, its thumbnail included."""
        width, height = image.size
        return int(self.image_processor.get_number_of_image_patches(height, width))

    def prefix_ids(self, tiles: int = 1) -> list[int]:
        """Ids of the turn's start and an image of some tiles: what all questions about one image share."""
        image = f"{self.start_image_token}{self.image_token * self.image_seq_length * tiles}{self.end_image_token}"
        return [*self._begin, *self._control_ids(f"<|im_start|>user\n{image}")]

    def question_ids(
        self, question: str, seg: Switch = Switch.AUTO, depth: Switch = Switch.AUTO, tiles: int = 1
    ) -> list[int]:
        """The ids of `question_tokens`."""
        return self.question_tokens(question, seg, depth, tiles)[0]

    def question_tokens(
        self, question: str, seg: Switch = Switch.AUTO, depth: Switch = Switch.AUTO, tiles: int = 1
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids from the question, about an image of some tiles, to the place where the answer begins.

        Returns:
            the ids, and the begin and end in `question` of the first of them: those before its last blanks.

        Raises:
            ValueError: if the question is empty or does not fit the context.
        """
        if not question.strip():
            raise ValueError("the prompt is empty; ask a question or name what to segment")
        if len(question) > _LONGEST_TOKEN * self.context_length:  # to count its tokens would take minutes
            raise ValueError(f"the prompt has {len(question):,} letters, far beyond the model's context; shorten it")
        text = f"\n{question.strip()}{self.switch_suffix(seg, depth)}"
        encoded = self._plain_tokenizer.encode(text, add_special_tokens=False)
        ids = encoded.ids
        room = max(self.context_length - self.image_seq_length * tiles, 0)
        if len(ids) > room:
            raise ValueError(f"the prompt has {len(ids)} tokens but the model reads at most {room}; shorten it")
        shift = len(question) - len(question.lstrip()) - 1  # of the line's end before it, and of what was stripped
        places = [(begin + shift, end + shift) for begin, end in encoded.offsets]
        asked = [place for place in places if place[1] <= len(question.rstrip())]
        return [*ids, *self._control_ids("<|im_end|>\n<|im_start|>assistant\n")], asked

    def history_ids(self, turns: Sequence[tuple[str, str]], tiles: int = 1) -> list[int]:
        """Ids of earlier questions about the image and their answers, which stand before `question_ids`.

        Raises:
            ValueError: if a question is empty or does not fit the context.
        """
        ids: list[int] = []
        for question, answer in turns:
            ids += [*self.question_ids(question, tiles=tiles), *self._plain_ids(answer)]
            ids += self._control_ids("<|im_end|>\n<|im_start|>user")
        return ids

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer's words; `<p>` and `</p>` are tokens here, because the answer is ours."""
        return self._control_ids(text)

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens included."""
        return str(self._control_tokenizer.decode(list(ids), skip_special_tokens=False))

    def detokenizer(self) -> Detokenizer:
        """Makes `text` of ids one by one."""
        return Detokenizer(self._control_tokenizer)

    def pixels(self, images: Sequence[Image.Image]) -> tuple[Tensor, Tensor]:
        """(tiles, 3, side, side) of all images in order for the vision tower, and (B, 3, side', side') for SAM2."""
        values = self.image_processor(images=list(images), return_tensors="pt")["pixel_values"]
        return values, torch.stack([preprocess(image, self.sam_image_size, self.sam_resampling) for image in images])

    def prepare(
        self,
        images: Sequence[Image.Image],
        prompts: Sequence[str],
        seg: Switch | Sequence[Switch] = Switch.AUTO,
        depth: Switch | Sequence[Switch] = Switch.AUTO,
    ) -> BatchFeature:
        """A left-padded batch of one question for each image.

        Returns:
            input_ids and attention_mask (B, T) int64, pixel_values (tiles, 3, side, side), sam_pixel_values.

        Raises:
            ValueError: if a prompt is empty or too long, or images and prompts differ in number.
        """
        if len(images) != len(prompts):
            raise ValueError(f"{len(images)} images but {len(prompts)} prompts; give one prompt for each image")
        pixel_values, sam_pixel_values = self.pixels(images)
        batch = self.tokens(prompts, seg, depth, [self.tiles(image) for image in images])
        return BatchFeature({**batch, "pixel_values": pixel_values, "sam_pixel_values": sam_pixel_values})

    def tokens(
        self,
        prompts: Sequence[str],
        seg: Switch | Sequence[Switch] = Switch.AUTO,
        depth: Switch | Sequence[Switch] = Switch.AUTO,
        tiles: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """The token part of `prepare`: input_ids and attention_mask (B, T) int64, left-padded.

        Args:
            prompts: B questions.
            seg: one mode for all, or one for each.
            depth: likewise.
            tiles: number of tiles of each question's image; one each by default.
        """
        count = len(prompts)
        segs = [seg] * count if isinstance(seg, Switch) else list(seg)
        depths = [depth] * count if isinstance(depth, Switch) else list(depth)
        rows = [
            [*self.prefix_ids(number), *self.question_ids(prompt, one_seg, one_depth, number)]
            for prompt, one_seg, one_depth, number in zip(prompts, segs, depths, tiles or [1] * count, strict=True)
        ]
        length = max(map(len, rows))
        padding = self.tokenizer.pad_token_id
        return {
            "input_ids": torch.tensor([[padding] * (length - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows]),
        }

    def _plain_ids(self, text: str) -> list[int]:
        return list(self._plain_tokenizer.encode(text, add_special_tokens=False).ids)

    def _control_ids(self, text: str) -> list[int]:
        return list(self._control_tokenizer.encode(text, add_special_tokens=False).ids)


def _fixed(tokenizer: Any, *, plain: bool) -> Tokenizer:
    """A copy of a tokenizer's inner part, which reads control tokens as plain text or as what they are.

    The tokenizer itself keeps such settings between calls: one thread's would change another's ids.
    """
    fixed = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    fixed.no_truncation()
    fixed.no_padding()
    fixed.encode_special_tokens = plain
    return fixed


def _begin(tokenizer: Tokenizer) -> list[int]:
    """Ids that a tokenizer puts before every text: InternLM's is `<s>`, Qwen's has none."""
    encoded = tokenizer.encode("a")
    text = encoded.sequence_ids.index(0)
    return list(encoded.ids[:text])
