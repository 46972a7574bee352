"""A folder of results: what is written can be read again, and what was damaged is one sentence or is cut off."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import pytest

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import (
    Chunk,
    append_chunk,
    check_report,
    claim_folder,
    is_finished,
    keep_chunks,
    load_report,
    load_samples,
    log_of,
    read_chunks,
    write_results,
)
from perceptio.evaluation.judged import Judged, Overlap, figures
from perceptio.evaluation.report import Report

NASTY = "a é漢\u2028\u2029\u0085\x0b\x0c\x1c\x00\x7f\r\n\t\"'\\|,{}[]#\udce9\ufeff\u200b\U0001f600"


def nasty(rng: random.Random) -> str:
    return "".join(rng.choices(NASTY, k=rng.randrange(12)))


def samples(count: int, seed: int = 0) -> list[Judged]:
    """Random samples whose texts hold whatever a file can choke on."""
    rng = random.Random(seed)
    return [
        Judged(
            f"{number}/{nasty(rng)}",
            nasty(rng),
            {f"share {nasty(random.Random(1))}": rng.random() < 0.5, "mean": rng.random(), "mask": Overlap(1, 2**40)},
            {
                "prompt": "half \ud800 " + nasty(rng),
                "answer": nasty(rng) * rng.choice((1, 5000)),
                "list": [nasty(rng), None, 3],
            },
        )
        for number in range(count)
    ]


def report_of(found: list[Judged]) -> Report:
    return Report("one", {"model": f"m{NASTY}", "weights": "0"}, figures(found))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_again(tmp_path: Path, seed: int) -> None:
    found = samples(12, seed)
    progress = tmp_path / "progress.jsonl"
    for begin in (0, 4, 8):
        append_chunk(progress, Chunk(begin // 4, found[begin : begin + 4], 0.5 * begin))
    chunks = read_chunks(tmp_path)
    assert [sample for number in range(3) for sample in chunks[number].samples] == found
    assert [chunks[number].seconds for number in range(3)] == [0, 2, 4]
    write_results(tmp_path, report_of(found), found, 1.5)
    assert load_samples(tmp_path) == found
    check_report(tmp_path, report_of(found))
    assert load_report(tmp_path)["seconds_per_answer"] == 0.125
    assert is_finished(tmp_path)
    assert not progress.exists()


DAMAGE = {
    "repeated": lambda lines: [*lines[:2], lines[1], lines[2]],
    "interleaved": lambda lines: [lines[0], lines[1][:20] + lines[2], lines[2]],
    "no text": lambda lines: [lines[0], b"\xff\xfe", lines[2]],
    "NUL": lambda lines: [lines[0], bytes(100), lines[2]],
    "no chunk": lambda lines: [lines[0], b'{"seconds": 1.0}', lines[2]],
    "no number": lambda lines: [lines[0], lines[1].replace(b'"chunk": 1', b'"chunk": "1"'), lines[2]],
    "nested": lambda lines: [lines[0], b"[" * 100_000, lines[2]],
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_log_is_read_up_to_its_first_damage(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    progress, found = tmp_path / "progress.jsonl", samples(6)
    for begin in (0, 2, 4):
        append_chunk(progress, Chunk(begin // 2, found[begin : begin + 2], 1.0))
    lines = progress.read_bytes().split(b"\n")[:-1]
    progress.write_bytes(b"".join(line + b"\n" for line in DAMAGE[damage](lines)))
    sound = 2 if damage == "repeated" else 1
    assert sorted(read_chunks(tmp_path)) == list(range(sound))
    with caplog.at_level(logging.WARNING):
        assert sorted(keep_chunks(tmp_path, lambda chunk: True)) == list(range(sound))
    assert f"{progress} is damaged from line {sound + 1}" in caplog.text
    assert progress.read_bytes() == b"".join(line + b"\n" for line in lines[:sound])


def test_a_line_without_its_end_is_dropped_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    progress = tmp_path / "progress.jsonl"
    append_chunk(progress, Chunk(0, samples(2), 1.0))
    whole = progress.read_bytes()
    progress.write_bytes(whole + whole[:-1])
    keep_chunks(tmp_path, lambda chunk: True)
    assert progress.read_bytes() == whole
    assert not caplog.records


def test_logs_of_several_processes_are_put_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One of them holds what another has too: the run was killed while it put them together before."""
    found = samples(10)
    chunks = [Chunk(number, found[2 * number : 2 * number + 2], 1.0) for number in range(5)]
    for rank, numbers in enumerate(((0, 3), (2, 1), (1, 4))):
        for number in numbers:
            append_chunk(log_of(tmp_path, rank), chunks[number])
    with caplog.at_level(logging.WARNING):
        kept = keep_chunks(tmp_path, lambda chunk: chunk.number != 4)
    assert [chunk for _, chunk in sorted(kept.items())] == chunks[:4]
    assert [path.name for path in tmp_path.iterdir()] == ["progress.jsonl"]
    assert [chunk for _, chunk in sorted(read_chunks(tmp_path).items())] == chunks[:4]
    assert caplog.text.count("is damaged from line") == 1
    assert f"{log_of(tmp_path, 2)} is damaged from line 2" in caplog.text


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("[1]", "JSON object"),
        ('{"key": 1, "image": "", "outcomes": {}}', "key"),
        ('{"key": "a", "outcomes": {}}', "image"),
        ('{"key": "a", "image": "", "outcomes": []}', "outcomes"),
        ('{"key": "a", "image": "", "outcomes": {"right": 1}}', "right"),
        ('{"key": "a", "image": "", "outcomes": {"right": null}}', "right"),
        ('{"key": "a", "image": "", "outcomes": {"error": NaN}}', "error"),
        ('{"key": "a", "image": "", "outcomes": {"mask": [3, 2]}}', "mask"),
        ('{"key": "a", "image": "", "outcomes": {"mask": [1, 2, 3]}}', "mask"),
        ('{"key": "a", "image": "", "outcomes": {"mask": [0, ' + "9" * 400 + "]}}", "mask"),
        ('{"key": "a", "key": "b", "image": "", "outcomes": {}}', "key"),
        ('{"key": "zero", "image": "", "outcomes": {}}', "zero"),
        ('{"key": "a", "image": "", "outcomes": {"right": 0.5}}', "right"),
        ("\xff", "UTF-8"),
    ],
)
def test_damaged_samples_are_named(tmp_path: Path, line: str, named: str) -> None:
    first = '{"key": "zero", "image": "", "outcomes": {"right": true}}'
    (tmp_path / "samples.jsonl").write_text(f"{first}\n{line}\n", encoding="latin-1")
    with pytest.raises(EvaluationError, match=rf"samples\.jsonl.*{named}"):
        load_samples(tmp_path)


def test_a_report_that_is_not_of_its_samples_is_refused(tmp_path: Path) -> None:
    found = samples(4)
    write_results(tmp_path, report_of(found), found, 1.0)
    lines = (tmp_path / "samples.jsonl").read_bytes().split(b"\n")
    (tmp_path / "samples.jsonl").write_bytes(b"\n".join(lines[1:]))
    with pytest.raises(EvaluationError, match=r"report\.json and .*samples\.jsonl"):
        check_report(tmp_path, report_of(load_samples(tmp_path)))
    for content in ("", "[]", '{"title": "one"}'):
        (tmp_path / "report.json").write_text(content)
        with pytest.raises(EvaluationError, match=r"report\.json"):
            check_report(tmp_path, report_of(found))
        with pytest.raises(EvaluationError, match=r"report\.json"):
            load_report(tmp_path)


def test_samples_of_two_runs_are_never_reported(tmp_path: Path) -> None:
    found = samples(4)
    with pytest.raises(EvaluationError, match=r"progress\.jsonl .*twice"):
        write_results(tmp_path, report_of(found), [*found, found[0]], 1.0)
    assert not is_finished(tmp_path)


def test_the_innermost_setting_that_differs_is_named(tmp_path: Path) -> None:
    claim_folder(tmp_path, {"annotations": {"a.json": "1", "b.json": "2"}, "seed": 0})
    claim_folder(tmp_path, {"annotations": {"a.json": "1", "b.json": "2"}, "seed": 0})
    with pytest.raises(EvaluationError, match=r"\(annotations: b\.json: '2', now '3'\)"):
        claim_folder(tmp_path, {"annotations": {"a.json": "1", "b.json": "3"}, "seed": 0})


@pytest.mark.parametrize("name", ["report.json", "samples.jsonl", "progress.jsonl"])
def test_results_without_settings_are_not_taken_for_others(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(EvaluationError, match=rf"{name}.*settings\.json"):
        claim_folder(tmp_path, {"seed": 0})
    assert not (tmp_path / "settings.json").exists()


def test_damaged_settings_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"seed": 0})[:-1])
    with pytest.raises(ValueError, match=r"settings\.json"):
        claim_folder(tmp_path, {"seed": 0})
