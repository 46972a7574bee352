"""The batched grammar against a plain automaton over every short sequence."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from perceptio.decoding.grammar import SpatialGrammar
from perceptio.tokens import SpatialVocabulary, Switch, parse

STOP, SEG, START, END, CODE_A, CODE_B, TEXT, PAD = range(8)
SIZE = 8
N = 2
VOCABULARY = SpatialVocabulary(
    seg=SEG, depth_start=START, depth_end=END, codes=(CODE_A, CODE_B), tokens_per_map=N, end_of_text=STOP
)
ANSWER_FIRST = replace(VOCABULARY, order="answer_first")
INTERLEAVED = replace(VOCABULARY, order="interleaved")
MODES = list(itertools.product(Switch, Switch))


def reference_next(prefix: tuple[int, ...], seg: Switch, depth: Switch, max_segments: int) -> set[int] | None:
    """Ids that may follow `prefix`, by walking the automaton one token at a time; None if it is not grammatical."""
    state, segments, codes = "segments", 0, 0
    for step in range(len(prefix) + 1):
        if state == "segments":
            due = set()
            if seg != Switch.OFF and segments < max_segments:
                due |= {SEG}
            if not (seg == Switch.ON and segments == 0):
                due |= {START} if depth != Switch.OFF else set()
                due |= {TEXT, PAD, STOP} if depth != Switch.ON else set()
        elif state == "span":
            due = {CODE_A, CODE_B} if codes < N else {END}
        elif state == "text":
            due = {TEXT, PAD, STOP}
        else:
            due = set(range(SIZE))
        if step == len(prefix):
            return due
        token = prefix[step]
        if token not in due:
            return None
        if state == "done":
            continue
        if token == SEG:
            segments += 1
        elif token == START:
            state, codes = "span", 0
        elif token in (CODE_A, CODE_B):
            codes += 1
        else:
            state = "done" if token == STOP else "text"
    raise AssertionError


def reference_answer_first(
    prefix: tuple[int, ...], seg: Switch, depth: Switch, max_segments: int, max_text: int
) -> set[int] | None:
    """As `reference_next`, for text, then segments, then a span."""
    state, segments, codes, words = "text", 0, 0, 0
    for step in range(len(prefix) + 1):
        due = set()
        if state in ("text", "segments"):
            if state == "text" and words < max_text:
                due |= {TEXT, PAD}
            if seg != Switch.OFF and segments < max_segments:
                due |= {SEG}
            if not (seg == Switch.ON and segments == 0):
                due |= {START} if depth != Switch.OFF else set()
                due |= {STOP} if depth != Switch.ON else set()
        elif state == "span":
            due = {CODE_A, CODE_B} if codes < N else {END}
        elif state == "closed":
            due = {STOP}
        else:
            due = set(range(SIZE))
        if step == len(prefix):
            return due
        token = prefix[step]
        if token not in due:
            return None
        words += token in (TEXT, PAD)
        segments += token == SEG
        codes += token in (CODE_A, CODE_B)
        state = {SEG: "segments", START: "span", END: "closed", STOP: "done"}.get(token, state)
    raise AssertionError


def reference_interleaved(
    prefix: tuple[int, ...], seg: Switch, depth: Switch, max_segments: int, max_text: int
) -> set[int] | None:
    """As `reference_next`, for a span, then text and segments in any order."""
    state, segments, codes, words = "begin", 0, 0, 0
    for step in range(len(prefix) + 1):
        due = {START} if state == "begin" and depth != Switch.OFF else set()
        if state == "text" or (state == "begin" and depth != Switch.ON):
            due |= {TEXT, PAD} if words < max_text else set()
            due |= {SEG} if seg != Switch.OFF and segments < max_segments else set()
            due |= {STOP} if seg != Switch.ON or segments else set()
        elif state == "span":
            due = {CODE_A, CODE_B} if codes < N else {END}
        elif state == "done":
            due = set(range(SIZE))
        if step == len(prefix):
            return due
        token = prefix[step]
        if token not in due:
            return None
        words += token in (TEXT, PAD)
        segments += token == SEG
        codes += token in (CODE_A, CODE_B)
        state = {START: "span", STOP: "done"}.get(token, state if state == "span" and token != END else "text")
    raise AssertionError


def allowed_ids(grammar: SpatialGrammar, ids: torch.Tensor) -> list[set[int]]:
    scores = grammar(ids, torch.zeros(ids.shape[0], SIZE))
    return [set(torch.nonzero(row == 0).flatten().tolist()) for row in scores]


@pytest.mark.parametrize(("seg", "depth"), MODES)
def test_every_short_sequence_agrees_with_the_automaton(seg, depth):
    seen = 0
    prompt = (SEG, START, CODE_A)  # control ids in the prompt must not count
    for length in range(6):
        following = {
            prefix: due
            for prefix in itertools.product(range(PAD), repeat=length)
            if (due := reference_next(prefix, seg, depth, 2)) is not None
        }
        if not following:
            continue
        ids = torch.tensor([prompt + prefix for prefix in following])
        grammar = SpatialGrammar(VOCABULARY, len(prompt), [seg] * len(ids), [depth] * len(ids), max_segments=2)
        assert allowed_ids(grammar, ids) == list(following.values())
        seen += len(following)
    assert seen > 6


@pytest.mark.parametrize(
    ("vocabulary", "reference"),
    [(ANSWER_FIRST, reference_answer_first), (INTERLEAVED, reference_interleaved)],
    ids=["answer_first", "interleaved"],
)
@pytest.mark.parametrize(("seg", "depth"), MODES)
def test_every_short_sequence_of_another_order_agrees_with_its_automaton(seg, depth, vocabulary, reference):
    seen = 0
    for length in range(7):
        following = {
            prefix: due
            for prefix in itertools.product(range(PAD), repeat=length)
            if STOP not in prefix and (due := reference(prefix, seg, depth, 2, 2)) is not None
        }
        if not following:
            continue
        ids = torch.tensor(list(following), dtype=torch.long).reshape(len(following), length)
        modes = [seg] * len(ids), [depth] * len(ids)
        grammar = SpatialGrammar(vocabulary, 0, *modes, max_segments=2, max_text=2)
        assert allowed_ids(grammar, ids) == list(following.values())
        seen += len(following)
    assert seen > 2


def test_rows_of_different_modes_and_states_equal_rows_alone():
    prefixes = [(SEG, START, CODE_A, CODE_B), (START, CODE_A, CODE_B, END), (TEXT,) * 4, (TEXT, STOP, PAD, PAD)]
    rows = [
        (prefix, seg, depth)
        for prefix in prefixes
        for seg, depth in MODES
        if reference_next(prefix, seg, depth, 16) is not None
    ]
    ids = torch.tensor([prefix for prefix, _, _ in rows])
    batched = SpatialGrammar(VOCABULARY, 0, [seg for _, seg, _ in rows], [depth for _, _, depth in rows])
    scores = torch.randn(len(rows), SIZE, generator=torch.Generator().manual_seed(0))
    together = batched(ids, scores)
    for index, (_, seg, depth) in enumerate(rows):
        alone = SpatialGrammar(VOCABULARY, 0, [seg], [depth])(ids[index : index + 1], scores[index : index + 1])
        assert torch.equal(together[index], alone[0])


def test_state_follows_the_ids_when_rows_are_reordered_or_rolled_back():
    grammar = SpatialGrammar(VOCABULARY, 0, [Switch.AUTO] * 2, [Switch.AUTO] * 2)
    ids = torch.tensor([[SEG, START, CODE_A], [SEG, TEXT, TEXT]])
    span, text = allowed_ids(grammar, ids)
    assert allowed_ids(grammar, ids.flip(0)) == [text, span]
    assert allowed_ids(grammar, ids[:, :1]) == [{SEG, START, TEXT, PAD, STOP}] * 2
    assert allowed_ids(grammar, ids) == [span, text]


def test_modes_are_repeated_for_beams():
    grammar = SpatialGrammar(VOCABULARY, 0, [Switch.OFF, Switch.ON], [Switch.OFF, Switch.OFF])
    empty = torch.zeros(6, 0, dtype=torch.long)
    assert allowed_ids(grammar, empty) == [{TEXT, PAD, STOP}] * 3 + [{SEG}] * 3
    with pytest.raises(ValueError, match="2 prompts, which does not divide 3 rows"):
        grammar(empty[:3], torch.zeros(3, SIZE))


@pytest.mark.parametrize("vocabulary", [VOCABULARY, ANSWER_FIRST, INTERLEAVED], ids=lambda vocabulary: vocabulary.order)
@pytest.mark.parametrize(("seg", "depth"), MODES)
def test_random_sampling_under_the_grammar_parses_clean(vocabulary, seg, depth):
    rows, prompt = 32, 2
    # 14 steps hold 6 words, 3 segments and a span of 4
    grammar = SpatialGrammar(vocabulary, prompt, [seg] * rows, [depth] * rows, max_segments=3, max_text=6)
    generator = torch.Generator().manual_seed(1)
    ids = torch.full((rows, prompt), SEG)
    for _ in range(14):
        scores = torch.randn(rows, SIZE, generator=generator)
        probabilities = grammar(ids, scores).softmax(-1)
        ids = torch.cat([ids, torch.multinomial(probabilities, 1, generator=generator)], dim=1)
    for row in ids[:, prompt:].tolist():
        parsed = parse(vocabulary, [*row, STOP])
        assert parsed.malformed == ()
        assert len(parsed.segments) <= 3
        assert (len(parsed.segments) > 0) >= (seg == Switch.ON)
        assert (len(parsed.segments) == 0) >= (seg == Switch.OFF)
        assert (parsed.codes is not None) >= (depth == Switch.ON)
        assert (parsed.codes is None) >= (depth == Switch.OFF)


def test_scores_of_allowed_tokens_are_untouched_and_the_input_is_not_written():
    grammar = SpatialGrammar(VOCABULARY, 0, [Switch.OFF], [Switch.OFF])
    scores = torch.randn(1, SIZE)
    before = scores.clone()
    after = grammar(torch.tensor([[TEXT]]), scores)
    assert torch.equal(scores, before)
    assert torch.equal(after[0, [STOP, TEXT, PAD]], before[0, [STOP, TEXT, PAD]])
    assert torch.isinf(after[0, [SEG, START, END, CODE_A, CODE_B]]).all()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0, [Switch.OFF], []), "one mode a row"),
        ((-1, [Switch.OFF], [Switch.OFF]), "prompt_length"),
        ((0, [Switch.OFF], [Switch.OFF], 0), "max_segments"),
        ((0, ["maybe"], [Switch.OFF]), "maybe"),
    ],
)
def test_impossible_arguments_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        SpatialGrammar(VOCABULARY, *arguments)


def test_a_vocabulary_larger_than_the_scores_is_refused():
    grammar = SpatialGrammar(VOCABULARY, 0, [Switch.OFF], [Switch.OFF])
    with pytest.raises(ValueError, match="token id 5 lies beyond the model's 4 scores"):
        grammar(torch.tensor([[0]]), torch.zeros(1, 4))
