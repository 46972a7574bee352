"""A run goes on with what it was begun with, or says what has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.files import OutputError
from perceptio.training import beginning
from perceptio.training.beginning import begin, check_reads, hashes

SETTINGS = {"seed": 0, "tuning": {"steps": 5, "rates": {"sam": 1.0}}}


def test_the_same_settings_go_on(tmp_path: Path) -> None:
    for _ in range(2):
        begin(tmp_path, SETTINGS, under_way=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, r"\(seed: 0, now 1\)"),
        ({"tuning": {"steps": 5, "rates": {"sam": 2.0}}}, r"\(tuning\.rates\.sam: 1\.0, now 2\.0\)"),
        ({"tuning": {"steps": 5}}, r"\(tuning\.rates: .*, now None\)"),
        ({"more": 1}, r"\(more: None, now 1\)"),
    ],
)
def test_another_setting_is_named(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    begin(tmp_path, SETTINGS, under_way=False)
    with pytest.raises(ValueError, match=message):
        begin(tmp_path, SETTINGS | changed, under_way=True)


def test_a_start_that_came_to_nothing_is_forgotten(tmp_path: Path) -> None:
    begin(tmp_path, SETTINGS, under_way=False)
    check_reads(tmp_path, {"a.jsonl": "1"})
    begin(tmp_path, SETTINGS | {"seed": 1}, under_way=False)
    check_reads(tmp_path, {"a.jsonl": "2"})


def test_another_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path, SETTINGS, under_way=False)
    monkeypatch.setattr(beginning, "__version__", "9.9")
    with pytest.raises(ValueError, match=r"perceptio: .*, now 9\.9"):
        begin(tmp_path, SETTINGS, under_way=True)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"a.jsonl": "2", "b.jsonl": "1"}, r"a\.jsonl has changed"),
        ({"a.jsonl": "1"}, r"b\.jsonl is read no more"),
        ({"a.jsonl": "1", "b.jsonl": "1", "c.jsonl": "1"}, r"c\.jsonl is new"),
    ],
)
def test_what_else_is_read_is_named(tmp_path: Path, now: dict[str, str], message: str) -> None:
    check_reads(tmp_path, {"a.jsonl": "1", "b.jsonl": "1"})
    with pytest.raises(ValueError, match=message):
        check_reads(tmp_path, now)


def test_what_a_finished_run_has_read_may_be_gone_but_not_changed(tmp_path: Path) -> None:
    check_reads(tmp_path, {"a": "1", "b": "1"})
    check_reads(tmp_path, {"a": "1"}, finished=True)
    with pytest.raises(ValueError, match="a has changed"):
        check_reads(tmp_path, {"a": "2"}, finished=True)


def test_the_hashes_of_a_model_are_those_of_its_weights_and_settings(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "notes.txt"):
        (tmp_path / name).write_text(name)
    found = hashes(tmp_path, "nano")
    assert found.keys() == {"nano/model.safetensors", "nano/config.json"}
    (tmp_path / "config.json").write_text("other")
    changed = {name for name, value in hashes(tmp_path, "nano").items() if value != found[name]}
    assert changed == {"nano/config.json"}


def test_folder_of_somebody_else_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").write_text("five years of work")
    with pytest.raises(OutputError, match=r"holds files that Perceptio did not make, such as thesis\.odt"):
        begin(tmp_path, SETTINGS, under_way=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.odt"]
    begin(tmp_path, SETTINGS, under_way=False, ours=["*.odt"])
    begin(tmp_path, SETTINGS, under_way=True)
