"""Running a benchmark: every sample is kept, a killed run goes on to the same result, other settings are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.distributed import HashStore

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import load_samples, log_of
from perceptio.evaluation.judged import Judged, figures
from perceptio.evaluation.provenance import configuration_hash, weights_hash
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.ranks import Ranks
from perceptio.evaluation.report import Figure
from perceptio.evaluation.runner import Results, run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer
from perceptio.tokens import Switch

UNITS = 19


class Lengths:
    """Is the answer's length even? Nothing that matters, but it depends on what the model says."""

    name = "lengths"
    protocol = "1"

    def __init__(self, fail_at: int | None = None, seed: int = 0) -> None:
        self.fail_at, self.seed = fail_at, seed

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def __len__(self) -> int:
        return UNITS

    def items(self, unit: int) -> list[Item]:
        image = np.random.default_rng((self.seed, unit)).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        asks = tuple(Ask(image, prompt, Switch.OFF, Switch.OFF) for prompt in ("hello", "Where is the red cube?"))
        return [Item(f"{unit}/both", asks), Item(f"{unit}/one", asks[:1])]

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        assert len(answers) == len(item.asks)
        if item.key == f"{self.fail_at}/both":
            raise KeyboardInterrupt
        even = all(len(answer.text) % 2 == 0 for answer in answers)
        return Judged(item.key, item.key.split("/")[0], {"even": even}, answer_record(item.asks[0], answers[0]))

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        return figures(samples)


def files(folder: Path) -> dict[str, str]:
    """All files but the times."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "timing.json"}


def test_every_sample_and_the_settings_are_kept(tiny: Perceptio, tmp_path: Path) -> None:
    results = run_benchmark(tiny, Lengths(), tmp_path / "a", batch_size=7, progress=False)
    samples = load_samples(results.folder)
    assert [sample.key for sample in samples] == [f"{unit}/{kind}" for unit in range(UNITS) for kind in ("both", "one")]
    report = json.loads((results.folder / "report.json").read_text())
    assert report["figures"]["even"]["count"] == 2 * UNITS
    assert report["decoding"] == {
        "constrained": True,
        "batch_size": 7,
        "depth_decoding": "exact",
        "soft_depth": True,
        "greedy": True,
    }
    assert report["weights"] == weights_hash(tiny)
    assert report["configuration"] == configuration_hash(tiny)
    assert report["versions"]["torch"]
    assert (results.folder / "report.md").read_text() == results.report.to_markdown() + "\n"
    assert "progress.jsonl" not in files(results.folder)


def test_answers_come_back_to_their_questions(tiny: Perceptio, tmp_path: Path) -> None:
    samples = load_samples(run_benchmark(tiny, Lengths(), tmp_path, batch_size=5, progress=False).folder)
    for unit in (0, 7, UNITS - 1):
        (_, item) = Lengths().items(unit)
        alone = tiny.ask(item.asks[0].image, item.asks[0].prompt, seg="off", depth="off")
        assert samples[2 * unit + 1].record["answer"] == alone.text


def test_a_killed_run_goes_on_to_the_same_files(tiny: Perceptio, tmp_path: Path) -> None:
    run_benchmark(tiny, Lengths(), tmp_path / "whole", progress=False)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(tiny, Lengths(fail_at=17), tmp_path / "killed", progress=False)
    progress = tmp_path / "killed" / "progress.jsonl"
    assert len(progress.read_text().splitlines()) == 2
    with progress.open("a") as log:
        log.write('{"samples": ["half a li')  # killed in the middle of writing
    run_benchmark(tiny, Lengths(), tmp_path / "killed", progress=False)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def share(tiny: Perceptio, folder: Path, count: int) -> list[Results]:
    """One run by so many ranks, each a thread."""
    store = HashStore()

    def run(number: int) -> Results:
        return run_benchmark(tiny, Lengths(), folder, progress=False, ranks=Ranks(store, number, count))

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_ranks_share_a_run_and_leave_the_files_of_one(tiny: Perceptio, tmp_path: Path) -> None:
    whole = run_benchmark(tiny, Lengths(), tmp_path / "whole", progress=False)
    results = share(tiny, tmp_path / "shared", 2)
    assert [each.report for each in results] == [whole.report] * 2
    assert files(tmp_path / "shared") == files(tmp_path / "whole")


def test_a_killed_run_goes_on_with_another_number_of_ranks(tiny: Perceptio, tmp_path: Path) -> None:
    run_benchmark(tiny, Lengths(), tmp_path / "whole", progress=False)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(tiny, Lengths(fail_at=9), tmp_path / "killed", progress=False)
    log = tmp_path / "killed" / "progress.jsonl"
    log.rename(log_of(tmp_path / "killed", 1))  # as if a second rank had written it
    share(tiny, tmp_path / "killed", 2)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


@pytest.mark.slow
def test_torchrun_gives_the_files_of_one_process(tiny_folder: Path, tmp_path: Path) -> None:
    """Scenes, which the first process renders for both."""
    outputs = []
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    for name, launch in (("one", ()), ("two", torchrun)):
        command = [
            *(sys.executable, *launch, str(Path(sys.executable).parent / "perceptio")),
            *("eval", "scenes", "--model", str(tiny_folder), "--limit", "20", "--out", str(tmp_path / name), "--json"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]  # said once
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_finished_run_is_read_not_run_again(tiny: Perceptio, tmp_path: Path) -> None:
    first = run_benchmark(tiny, Lengths(), tmp_path, progress=False).report
    again = run_benchmark(tiny, Lengths(fail_at=0), tmp_path, progress=False).report
    assert again.to_json() == first.to_json()


def test_other_settings_in_the_folder_are_refused(tiny: Perceptio, tmp_path: Path) -> None:
    run_benchmark(tiny, Lengths(), tmp_path, progress=False)
    with pytest.raises(EvaluationError, match=r"other settings \(seed: 0, now 1\)"):
        run_benchmark(tiny, Lengths(seed=1), tmp_path, progress=False)


def test_by_default_each_setting_has_its_own_folder(
    tiny: Perceptio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {run_benchmark(tiny, Lengths(seed=seed), progress=False).folder for seed in (0, 1)}
    assert len(folders) == 2
    assert all(folder.parent == Path("out/eval") and folder.name.startswith("lengths-") for folder in folders)


@pytest.mark.parametrize("content", [None, "not json\n", '{"key": "a"}\n'])
def test_missing_or_damaged_samples_are_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "samples.jsonl").write_text(content)
    with pytest.raises(EvaluationError, match=r"samples\.jsonl(:1)? is (missing|damaged)"):
        load_samples(tmp_path)


def test_the_weights_hash_changes_with_one_value(tiny: Perceptio) -> None:
    before = weights_hash(tiny)
    weight = tiny.model.projector.layers[0].bias
    kept = weight.data[0].item()
    weight.data[0] += 1
    changed = weights_hash(tiny)
    weight.data[0] = kept
    assert changed != before
    assert weights_hash(tiny) == before


def test_the_configuration_hash_is_of_what_answers_need(tiny: Perceptio, tiny_folder: Path, tmp_path: Path) -> None:
    """Settings and the tokenizer; not the folder that the model lies in."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(tiny_folder, moved)
    assert configuration_hash(Perceptio.from_pretrained(moved, device="cpu")) == configuration_hash(tiny)
    path = moved / "processor_config.json"
    changed = json.loads(path.read_text())
    changed["image_processor"]["image_mean"] = [0.5, 0.5, 0.5]
    path.write_text(json.dumps(changed))
    assert configuration_hash(Perceptio.from_pretrained(moved, device="cpu")) != configuration_hash(tiny)
