"""Labels are the same bytes, whoever makes them: one process, two, a killed and resumed one, a cluster."""

from __future__ import annotations

import fcntl
import multiprocessing
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.labeling.job import LabelPlan, label
from perceptio.labeling.networks import Network
from perceptio.labeling.processes import WorkerError
from perceptio.labeling.running import LabelWorkers

from .conftest import MakePlan, contents, draw


def break_teacher(plan: LabelPlan, folder: Path) -> Network:
    """The plan's teacher without one of its files."""
    folder.mkdir()
    for path in plan.teacher.folder.iterdir():
        if path.name != "preprocessor_config.json":
            (folder / path.name).write_bytes(path.read_bytes())
    return Network(str(folder), folder)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    label([pictures], one, make_plan(prompts))
    assert label([pictures], two, make_plan(prompts), LabelWorkers(count=2)).finished == 3
    assert contents(two) == contents(one)


@pytest.mark.parametrize(
    ("workers", "end", "code"),
    [
        pytest.param(1, signal.SIGKILL, -9, marks=pytest.mark.slow),  # the next test takes what such a kill leaves
        pytest.param(1, signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(2, signal.SIGKILL, -9, marks=pytest.mark.slow),
        pytest.param(2, signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_ended_and_resumed_is_as_if_nothing_had_happened(
    tmp_path: Path,
    make_plan: MakePlan,
    depth_anything: Path,
    tokenizer_folder: Path,
    workers: int,
    end: signal.Signals,
    code: int,
) -> None:
    pictures = tmp_path / "many"
    for number in range(12):
        draw(pictures / f"{number:02d}.png", (60, 40), number)
    whole, ended = tmp_path / "whole", tmp_path / "ended"
    label([pictures], whole, make_plan(shard_size=1))
    command: list[object] = [sys.executable, "-c", "from perceptio.cli import main; main()", "label", pictures]
    command += ["--out", ended, "--shard-size", 1, "--workers", workers]
    command += ["--teacher", depth_anything, "--tokenizer", tokenizer_folder]
    process = subprocess.Popen([str(each) for each in command], stderr=subprocess.PIPE, text=True)
    while not list(ended.glob("labels-*.parquet")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(end)
    assert process.wait() == code
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()  # to the end, which comes when the last worker has gone
    done = {path.name: path.stat().st_mtime_ns for path in ended.glob("*.parquet")}
    assert 1 <= len(done) < 12
    if end == signal.SIGTERM:
        assert not list(ended.glob(".*"))
    assert label([pictures], ended, make_plan(shard_size=1)).finished == 12
    assert contents(ended) == contents(whole)
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in ended.glob("*.parquet")}.items()


def test_what_a_killed_writer_leaves_is_removed(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    label([pictures], whole, make_plan())
    label([pictures], out, make_plan())
    (out / "labels-000001.parquet").rename(out / ".labels-000001.parquet.0123abcd.part")  # killed before the renaming
    for shard in 0, 1:  # killed after the renaming, and before it
        (out / f".labels-{shard:06d}.lock").touch()
    label([pictures], out, make_plan())
    assert contents(out) == contents(whole)


def test_shard_that_another_worker_is_at_is_left_to_it(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".labels-000001.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        report = label([pictures], out, make_plan())
        assert (report.finished, report.shards, report.labelled) == (2, 3, 4)
        assert not (out / "labels-000001.parquet").exists()
    assert label([pictures], out, make_plan()).finished == 3


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_failure_of_a_worker_is_that_of_the_job(
    pictures: Path, tmp_path: Path, make_plan: MakePlan, workers: int
) -> None:
    plan = replace(make_plan(), teacher=break_teacher(make_plan(), tmp_path / "broken"))
    with pytest.raises(ValueError, match=r"broken.preprocessor_config\.json"):
        label([pictures], tmp_path / "out", plan, LabelWorkers(count=workers))
    assert not list((tmp_path / "out").glob("labels*"))


def test_killed_processes_are_one_sentence(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(label, [pictures], tmp_path / "out", make_plan(), LabelWorkers(count=2))
        while len(children := multiprocessing.active_children()) < 2:
            time.sleep(0.01)
        for child in children:
            child.kill()
        with pytest.raises(WorkerError, match=r"was killed \(exit code -9\).*run the same command again"):
            job.result()
    assert not list((tmp_path / "out").glob("labels*"))


@pytest.mark.slow
def test_ray_cluster_of_two_nodes_writes_what_one_process_writes(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.data")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    one, many, broken = tmp_path / "one", tmp_path / "many", tmp_path / "broken"
    label([pictures], one, make_plan(prompts))
    many.mkdir()
    for name in ("labels-000001.parquet", "labels-000001.json"):  # begun here, finished there
        (many / name).write_bytes((one / name).read_bytes())
    before = (many / "labels-000001.parquet").stat().st_mtime_ns
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        workers = LabelWorkers(count=2, ray=cluster.address)  # of a core each: one on each node
        assert label([pictures], many, make_plan(prompts), workers).finished == 3
        assert contents(many) == contents(one)
        assert (many / "labels-000001.parquet").stat().st_mtime_ns == before
        plan = replace(make_plan(), teacher=break_teacher(make_plan(), broken))
        with pytest.raises(ValueError, match=r"broken.preprocessor_config\.json"):
            label([pictures], tmp_path / "out", plan, workers)
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_ray_cluster_that_is_not_there_is_one_sentence(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    pytest.importorskip("ray.data")
    with pytest.raises(ConnectionError, match="running Ray instance"):
        label([pictures], tmp_path / "out", make_plan(), LabelWorkers(ray="auto"))


def test_tokenizer_is_not_written_twice(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    label([pictures], tmp_path / "out", make_plan())
    kept = tmp_path / "out" / "tokenizer" / "model.safetensors"
    before = kept.stat().st_mtime_ns
    label([pictures], tmp_path / "out", make_plan())
    assert kept.stat().st_mtime_ns == before
    assert DepthTokenizer.from_pretrained(kept.parent).config.codes == 16
