"""How answers are written: what may be in them, how long they may be, and how depth codes are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, get_args

from torch import Tensor

from perceptio.decoding.arguments import check_flag, check_whole, switches
from perceptio.pretrained.fields import shown
from perceptio.tokens import DepthDecoding, SpatialVocabulary, Switch

if TYPE_CHECKING:
    from perceptio.model.modeling import PerceptioForConditionalGeneration

TEXT_BUDGET = 192  # tokens of plain text that the default token budget leaves room for
MAX_SEGMENTS = 16
TEACHER = "teacher"  # in place of a depth switch


@dataclass(frozen=True)
class DecodingOptions:
    """How a batch is decoded."""

    seg: tuple[Switch, ...]  # of the segmentation tokens, by row
    depth: tuple[Switch, ...]  # of the depth span, by row
    constrained: bool = True  # follow the grammar; False lets the model run free
    max_segments: int = MAX_SEGMENTS  # the most [SEG] tokens in a constrained answer
    # of each answer, or by row; None: room for a whole depth span, every segment and TEXT_BUDGET tokens
    max_new_tokens: int | tuple[int | None, ...] | None = None
    forced_depth: Tensor | None = None  # (B, N) int64 codebook entries written in place of the model's own codes
    depth_decoding: DepthDecoding | None = None  # of constrained answers; None: as the model's configuration says
    teacher_depth: bool = False  # a teacher of depth gives the codes, where the model's are not trained yet
    depth_guess: Tensor | None = None  # (B, N) int64 codes that may be right, for "exact" and "quick"; -1: none
    soft_depth: bool = True  # decode a map from the code vectors that are expected, not from those that were written

    def __post_init__(self) -> None:
        check_flag("constrained", self.constrained)
        check_flag("soft_depth", self.soft_depth)
        check_whole("max_segments", self.max_segments)
        for most in self.max_new_tokens if isinstance(self.max_new_tokens, tuple) else (self.max_new_tokens,):
            if most is not None:
                check_whole("max_new_tokens", most, least=None)  # `budget` knows the least
        if self.depth_decoding is not None and self.depth_decoding not in get_args(DepthDecoding):
            known = ", ".join(get_args(DepthDecoding))
            raise ValueError(f"depth_decoding must be one of {known}, not {shown(self.depth_decoding)}")

    @classmethod
    def of(
        cls,
        count: int,
        seg: str | Switch | Sequence[str | Switch],
        depth: str | Switch | Sequence[str | Switch],
        **others: Any,
    ) -> Self:
        """The options of `count` prompts, from arguments of public calls.

        Args:
            count: of the prompts.
            seg: one switch for all, or one for each.
            depth: likewise; or "teacher" for all.
            others: fields.

        Raises:
            TypeError, ValueError: with the argument's name.
        """
        teacher = isinstance(depth, str) and depth == TEACHER
        depths = (Switch.ON,) * count if teacher else switches("depth", depth, count)
        return cls(switches("seg", seg, count), depths, teacher_depth=teacher, **others)

    def select(self, rows: Sequence[int]) -> Self:
        """Those of some rows."""

        def part(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[list(rows)]

        return replace(
            self,
            seg=tuple(self.seg[row] for row in rows),
            depth=tuple(self.depth[row] for row in rows),
            max_new_tokens=tuple(self.given_budget(row) for row in rows),
            forced_depth=part(self.forced_depth),
            depth_guess=part(self.depth_guess),
        )

    def spatial_budget(self, vocabulary: SpatialVocabulary, row: int = 0) -> tuple[int, int]:
        """The most tokens of a depth span and of segments that a row's switches allow."""
        span = 0 if self.depth[row] == Switch.OFF else vocabulary.tokens_per_map + 2
        return span, 0 if self.seg[row] == Switch.OFF else self.max_segments

    def text_budget(self, vocabulary: SpatialVocabulary, row: int = 0) -> int | None:
        """The most tokens of text; None where nothing is due after it, and it may use up what is left."""
        if vocabulary.order == "spans_first":
            return None
        span, segments = self.spatial_budget(vocabulary, row)
        if vocabulary.order == "interleaved":  # one [SEG] may be due, wherever it stands
            if self.seg[row] != Switch.ON:
                return None
            segments = 1
        return self.budget(vocabulary, row) - span - segments - 1

    def budget(self, vocabulary: SpatialVocabulary, row: int = 0) -> int:
        """The most tokens that a row may generate.

        Raises:
            ValueError: if a given budget cannot hold what the row's switches allow.
        """
        most = self.given_budget(row)
        if most is None:
            return vocabulary.tokens_per_map + 2 + self.max_segments + TEXT_BUDGET
        least = self.least_budget(vocabulary, row)
        if most < least:
            span, segments = self.spatial_budget(vocabulary, row)
            raise ValueError(
                f"max_new_tokens={most} is too small: {span} tokens for a depth span, {segments} for segments and at "
                f"least 1 of text need {least}; raise it, or switch depth or seg off"
            )
        return most

    def least_budget(self, vocabulary: SpatialVocabulary, row: int = 0) -> int:
        """The fewest tokens that hold what a row's switches allow."""
        return sum(self.spatial_budget(vocabulary, row)) + 1 if self.constrained else 1

    def given_budget(self, row: int = 0) -> int | None:
        """What `max_new_tokens` says of a row."""
        return self.max_new_tokens[row] if isinstance(self.max_new_tokens, tuple) else self.max_new_tokens

    def depth_decoding_of(self, model: PerceptioForConditionalGeneration) -> DepthDecoding:
        """How depth codes are found with a model.

        Raises:
            ValueError: if the model was not trained for it.
        """
        found: DepthDecoding = self.depth_decoding or model.config.depth_decoding
        if found == "parallel" and model.depth_query is None:
            raise ValueError(
                'this model has no depth query, so depth_decoding cannot be "parallel": train it with '
                "depth_decoding: parallel in the recipe, or ask for exact or quick"
            )
        return found


def context(model: PerceptioForConditionalGeneration) -> int:
    """The most tokens of a prompt with its picture and an answer."""
    return int(model.vlm.config.get_text_config().max_position_embeddings)


def check_context(
    model: PerceptioForConditionalGeneration, prompt: int, options: DecodingOptions, row: int = 0
) -> None:
    """Refuse a row's prompt that leaves no room for its answer.

    Raises:
        ValueError: if `prompt` and the answer's tokens exceed the positions of the language model.
    """
    limit = context(model)
    budget = options.budget(model.config.vocabulary, row)
    if prompt + budget <= limit:
        return
    if options.given_budget(row) is not None and budget >= limit:
        raise ValueError(f"max_new_tokens={budget} is too large: the model's context holds {limit:,} tokens")
    raise ValueError(
        f"the prompt is too long: {prompt:,} tokens with its image, but the model's context holds {limit:,} of which "
        f"the answer keeps {budget:,}, so at most {max(limit - budget, 0):,}; shorten the prompt"
    )
