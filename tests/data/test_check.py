"""Checking whole files, and training that starts on good data alone."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptio.data.check import check_files
from perceptio.data.errors import DataError
from perceptio.data.fit import Learner
from perceptio.data.preparation import REPORT, open_mixture
from perceptio.data.sample_files import write_samples
from perceptio.data.schema import Mark, Sample, Turn
from perceptio.pipeline import Perceptio


@pytest.fixture
def mixed(home: Path, sample: Sample) -> Path:
    """Lines 1, 4 and 5 are good; 2 does not parse, 3 has two faults."""
    path = home / "mixed.jsonl"
    bad = replace(sample, image="none.png", codes=(-1,))
    coded = replace(sample, depth=None, codes=(1, 2, 3, 4), marks=(Mark("A", 9, 9),), licence="")
    lines = [sample.to_dict(), None, bad.to_dict(), coded.to_dict(), sample.to_dict()]
    path.write_text("\n".join("{" if line is None else json.dumps(line) for line in lines))
    return path


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_good_samples_are_counted_and_faults_are_listed(mixed: Path, workers: int) -> None:
    report = check_files([mixed], workers=workers, quiet=True)
    assert (report.samples, report.bad_samples) == (5, 2)
    assert report.bad == {str(mixed): [1, 2]}
    assert report.turns == {"referring": 3, "depth": 3, "counting": 3}
    assert report.supervised == {"text": 9, "seg": 3, "depth": 3}
    assert (report.masks, report.marked) == (6, 1)
    assert report.depth_maps == {"metric": 2, "codes": 1}
    assert report.sizes == {"48 x 32": 3}
    assert report.licences == {"CC0": 2, "not stated": 1}
    assert [(each.line, each.field) for each in report.problems] == [(2, ""), (3, "codes"), (3, "image")]
    assert str(report.problems[2]).startswith(f"{mixed}:3: image: there is no image file")
    assert json.loads(json.dumps(report.to_dict()))["problems"][0]["line"] == 2
    assert "5 samples in 1 file" in report.to_text()


def test_codes_are_measured_by_each_other_without_a_model(home: Path, sample: Sample) -> None:
    path = home / "codes.jsonl"
    write_samples(path, [replace(sample, codes=codes) for codes in ((1, 2, 3, 4), (1, 2, 3), (1, 2, 3, 9))])
    assert [(each.line, each.field) for each in check_files([path], quiet=True).problems] == [(2, "codes")]


def test_inverse_depth_that_is_said_to_be_metric_is_found_in_many_maps(home: Path, sample: Sample) -> None:
    rows = np.linspace(1, 9, 32, dtype=np.float32)[:, None].repeat(48, 1)  # inverse depth of a floor
    for number in range(20):
        np.save(home / f"{number}.npy", rows + number)
    named = [replace(sample, depth=f"{number}.npy") for number in range(20)]
    path = home / "x.jsonl"
    write_samples(path, [replace(sample, depth=None, codes=(1,) * 4), *named[:19], *named[:5]])  # 19 maps, some twice
    assert not check_files([path], quiet=True).problems
    write_samples(path, [replace(sample, depth=None, codes=(1,) * 4), *named])
    report = check_files([path], quiet=True)
    ((problem, bad),) = ((each, report.bad_samples) for each in report.problems)
    assert (problem.line, problem.field, bad) == (2, "depth_kind", 0)
    write_samples(path, [replace(each, depth_kind="inverse") for each in named])
    assert not check_files([path], quiet=True).problems


def test_training_refuses_bad_data_unless_it_is_told_to_skip_it(
    mixed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(DataError, match=r"2 of 5 samples are bad .*mixed\.jsonl:2.*skip_bad"):
        open_mixture({str(mixed): 1.0}, 0, folder)
    with caplog.at_level(logging.WARNING):
        mixture = open_mixture({str(mixed): 1.0}, 0, folder, skip_bad=True)
    assert "2 of 5 samples are bad and left out" in caplog.text
    assert mixture.samples == 3
    found = json.loads((folder / REPORT).read_text())
    assert (found["bad_samples"], found["bad"]) == (2, {str(mixed): [1, 2]})


def test_samples_are_left_out_however_the_path_is_written(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mixed.parent)
    assert open_mixture({f"./{mixed.name}": 1.0}, 0, mixed.parent / "run", skip_bad=True).samples == 3


def test_a_mended_picture_is_looked_at_again(home: Path, sample: Sample) -> None:
    path, picture = home / "x.jsonl", home / sample.image
    write_samples(path, [sample])
    aside = picture.rename(home / "aside")
    with pytest.raises(DataError, match="1 of 1 samples are bad"):
        open_mixture({str(path): 1.0}, 0, home / "run")
    aside.rename(picture)
    assert open_mixture({str(path): 1.0}, 0, home / "run").samples == 1


def test_files_are_checked_again_only_if_they_change(home: Path, sample: Sample) -> None:
    path, folder = home / "x.jsonl", home / "run"
    write_samples(path, [sample])
    open_mixture({str(path): 1.0}, 0, folder)
    first = (folder / REPORT).read_text()
    (folder / REPORT).write_text(first.replace('"masks": 2', '"masks": 77'))
    open_mixture({str(path): 2.0}, 1, folder)
    assert json.loads((folder / REPORT).read_text())["masks"] == 77
    write_samples(path, [sample, sample])
    assert open_mixture({str(path): 1.0}, 0, folder).samples == 2
    assert json.loads((folder / REPORT).read_text())["masks"] == 4
    with pytest.raises(DataError, match="there is no file"):
        open_mixture({"none.jsonl": 1.0}, 0, folder)


@pytest.fixture
def unfitting(home: Path, sample: Sample) -> Path:
    """Lines 2 and 3 are good, but not for the tiny model."""
    plain = replace(sample, turns=sample.turns[:1])
    long = replace(plain, turns=(Turn("What is here? " * 3000, "A cube."),))
    coded = replace(plain, codes=(1, 2))
    write_samples(home / "fit.jsonl", [plain, long, coded])
    return home / "fit.jsonl"


def test_what_a_model_cannot_learn_from_is_found(unfitting: Path, tiny: Perceptio) -> None:
    assert not check_files([unfitting], quiet=True).problems
    report = check_files([unfitting], learner=Learner(tiny.processor, tiny.model.config), quiet=True)
    assert [(each.line, each.field) for each in report.problems] == [(2, "turns[0].question"), (3, "codes")]


def test_a_turn_that_no_sequence_holds_is_found_before_the_run(home: Path, sample: Sample, tiny: Perceptio) -> None:
    plain = replace(sample, turns=sample.turns[2:])
    path = home / "x.jsonl"
    write_samples(path, [plain, replace(plain, turns=(Turn("What is here? " * 30, "A cube."),))])
    files, learner = {str(path): 1.0}, Learner(tiny.processor, tiny.model.config)
    assert open_mixture(files, 0, home / "run", learner=learner).samples == 2
    shorter = replace(learner, length=150)  # looked for anew, though the file has not changed
    with pytest.raises(DataError, match=r"1 of 2 samples are bad .*x\.jsonl:2: turns\[0\]\.question.*packing\.length"):
        open_mixture(files, 0, home / "run", learner=shorter)
    assert open_mixture(files, 0, home / "run", learner=shorter, skip_bad=True).samples == 1


def test_a_run_skips_what_its_model_cannot_learn_from(unfitting: Path, tiny: Perceptio, tmp_path: Path) -> None:
    files, learner = {str(unfitting): 1.0}, Learner(tiny.processor, tiny.model.config)
    assert open_mixture(files, 0, tmp_path / "run").samples == 3  # without a model; its report is of no use with one
    with pytest.raises(DataError, match=r"2 of 3 samples are bad .*fit\.jsonl:2: turns\[0\]\.question"):
        open_mixture(files, 0, tmp_path / "run", learner=learner)
    assert open_mixture(files, 0, tmp_path / "run", learner=learner, skip_bad=True).samples == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"state": 5}', b'{"problems": {}}'])
def test_a_damaged_report_is_made_anew(home: Path, sample: Sample, content: bytes) -> None:
    path, folder = home / "x.jsonl", home / "run"
    write_samples(path, [sample])
    open_mixture({str(path): 1.0}, 0, folder)
    good = (folder / REPORT).read_bytes()
    (folder / REPORT).write_bytes(content)
    assert open_mixture({str(path): 1.0}, 0, folder).samples == 1
    assert (folder / REPORT).read_bytes() == good
