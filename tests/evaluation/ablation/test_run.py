"""A whole ablation at the tiny size: trained, judged, resumed, summarized and published."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from perceptio.evaluation.ablation.page import publish, rendered, summarize
from perceptio.evaluation.ablation.plan import AblationPlan, Judging, Seeds
from perceptio.evaluation.ablation.run import REPLACED, Ablation, load_start, tokens_folder
from perceptio.evaluation.runner import EvaluationError, load_samples
from perceptio.model.loading import load
from perceptio.model.objectives import LossWeights
from perceptio.nano.recipe import JointStage, ScenePlan

PAGE = "# Page\n\n<!-- results: here -->\nold\n<!-- end of results -->\n\nThe end.\n"
MODELS = ("full-0", "no_depth-0", "answer_first-0")
STAGE = JointStage(
    steps=2, batch=2, warmup=1, workers=0, log_every=1, save_every=2, evaluate_every=2, questions=3, muon=1e-3,
    losses=LossWeights(bce=0, dice=0, score=0, object=0),
)  # fmt: skip
SEEDS = Seeds(**dict.fromkeys(vars(Seeds()), 0) | {"full": 1, "no_depth": 1, "answer_first": 1})


def plan_from(start: Path, **changes: object) -> AblationPlan:
    plan = AblationPlan(
        "tiny", str(start), ScenePlan(train=4, val=2, size=128), STAGE, SEEDS, Judging(scenes=1, free=1, batch=16)
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    plan = plan_from(tiny_folder)
    Ablation(plan, folder, folder / "scenes").run()
    summarize(plan, folder)
    return folder


def test_every_model_is_trained_from_the_start_and_judged(finished: Path, tiny_folder: Path) -> None:
    start = load_file(tiny_folder / "model.safetensors")
    for name in MODELS:
        weights = load_file(finished / name / "final" / "model.safetensors")
        assert any(not torch.equal(weights[key], start[key]) for key in start)
        assert not list((finished / name).glob("checkpoint-*"))
    keys = {
        test: [sample.key for sample in load_samples(finished / test)]
        for test in (*(f"{name}/test" for name in MODELS), *(f"full-0/{tokens_folder(kind)}" for kind in REPLACED))
    }
    assert len({tuple(found) for found in keys.values()}) == 1  # `perceptio eval compare` takes any two
    settings = json.loads((finished / "no_depth-0" / "test" / "report.json").read_text())
    assert (settings["depth_tokens"], settings["seg"], settings["model"]) == ("off", "auto", "no_depth-0")
    for sample in load_samples(finished / "no_depth-0" / "test"):
        assert "<DEPTH_START>" not in sample.record["raw"]


def test_the_order_of_an_answer_is_kept_with_the_model(finished: Path) -> None:
    assert load(finished / "answer_first-0" / "final", device="cpu")[0].config.vocabulary.order == "answer_first"
    assert load(finished / "full-0" / "final", device="cpu")[0].config.vocabulary.order == "spans_first"
    raw = [sample.record["raw"] for sample in load_samples(finished / "answer_first-0" / "test")]
    assert any("<DEPTH_START>" in text and not text.startswith(("[SEG]", "<DEPTH_START>")) for text in raw)
    words_last = re.compile(r"(\[SEG\]|<DEPTH_END>)(?!\[SEG\]|<DEPTH_START>|<\|im_end\|>|$)")
    assert not any(words_last.search(text) for text in raw)
    for sample in load_samples(finished / "answer_first-0" / "test"):
        assert sample.outcomes["malformed answers"] is False  # words leave room for what is due after them


def test_what_is_done_is_not_done_again(finished: Path, tiny_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    Ablation(plan_from(tiny_folder), finished, finished / "scenes").run()
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights_and_answers(
    finished: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, seeds = replace(STAGE, save_every=1), replace(SEEDS, no_depth=0, answer_first=0)
    ablation = Ablation(plan_from(tiny_folder, stage=stage, seeds=seeds), tmp_path, finished / "scenes")
    with monkeypatch.context() as patched:  # killed between the two steps
        patched.setattr("perceptio.training.curves.draw_curves", _killed)
        with pytest.raises(KeyboardInterrupt):
            ablation.run()
    assert [path.name for path in (tmp_path / "full-0").glob("checkpoint-*")] == ["checkpoint-1"]
    assert not (tmp_path / "full-0" / "final").exists()
    ablation.run()
    one, two = (load_file(folder / "full-0" / "final" / "model.safetensors") for folder in (finished, tmp_path))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert load_samples(tmp_path / "full-0" / "test") == load_samples(finished / "full-0" / "test")


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_models_in_processes_of_their_own_are_trained_and_judged(
    finished: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    plan = plan_from(tiny_folder, stage=replace(STAGE, workers=1))  # data from processes of their own as well
    Ablation(plan, tmp_path, finished / "scenes").run(jobs=2)
    for name in MODELS:
        one, two = (load_samples(folder / name / "test") for folder in (finished, tmp_path))
        assert [sample.key for sample in one] == [sample.key for sample in two]
        assert "train_loss" in (tmp_path / name / "output.txt").read_text()  # bars are for terminals only


def test_another_ablation_in_the_folder_is_refused(finished: Path, tiny_folder: Path) -> None:
    plan = plan_from(tiny_folder, stage=replace(STAGE, steps=3))
    with pytest.raises(EvaluationError, match=r"results of other settings \(stage: "):
        Ablation(plan, finished, finished / "scenes").run()


def test_reports_hold_what_the_evaluations_found(finished: Path) -> None:
    reports = {path.stem: json.loads(path.read_text()) for path in (finished / "summary").glob("*.json")}
    settings = reports.pop("settings")
    assert settings["stage"]["steps"] == 2
    assert set(reports) == {"full", "no_depth", "answer_first", "tokens-own", *map(tokens_folder, REPLACED)}
    for name, folder in (("no_depth", "no_depth-0/test"), ("tokens-random", "full-0/tokens-random")):
        found = json.loads((finished / folder / "report.json").read_text())["figures"]
        for figure in ("counting", "referring cIoU", "malformed answers"):
            assert reports[name]["figures"][figure]["value"] == pytest.approx(found[figure]["value"], abs=1e-5)
            assert reports[name]["runs"][0]["figures"][figure] == found[figure]
    assert "depth order, 3 points" in reports["full"]["figures"]
    assert "depth order, 3 points" not in reports["no_depth"]["figures"]
    assert reports["no_depth"]["figures"]["malformed answers, free"]["count"] > 8
    assert all(item["difference"] in (0, None) for item in reports["tokens-own"]["figures"].values())
    for picture in ("variants.png", "tokens.png"):
        assert (finished / "summary" / picture).stat().st_size > 1000


def test_the_page_is_rendered_from_the_reports_that_are_kept(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "ablation").mkdir()
    (tmp_path / "ablation" / "no_marker.json").write_text("{}")  # of an earlier ablation
    (tmp_path / "ablation.md").write_text(PAGE)
    publish(finished, tmp_path)
    page = (tmp_path / "ablation.md").read_text()
    assert not (tmp_path / "ablation" / "no_marker.json").exists()
    assert page.startswith("# Page\n\n<!-- results: here -->\n")
    assert page.endswith("<!-- end of results -->\n\nThe end.\n")
    assert (finished / "summary" / "tables.md").read_text().strip() in page
    assert "2 steps of 2 images a run" in page
    for plot in ("variants.png", "tokens.png"):
        assert (tmp_path / "ablation" / plot).read_bytes() == (finished / "summary" / plot).read_bytes()
    assert rendered(page, tmp_path / "ablation") == page
    with pytest.raises(ValueError, match="must hold the marks"):
        rendered("# Page\n", tmp_path / "ablation")


def test_a_start_is_a_model_or_a_stage_of_a_run(
    tiny_folder: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    _, expected = load_start(tiny_folder)
    stage = tmp_path / "words" / "final"
    stage.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_folder / name, stage)
    with pytest.raises(ValueError, match="has no tokenizer, and neither has its run"):
        load_start(stage)
    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    _, processor = load_start(stage)
    assert processor.prefix_ids() == expected.prefix_ids()
    assert processor.question_ids("Where is it?") == expected.question_ids("Where is it?")
    assert processor.context_length == expected.context_length
    assert processor.sam_image_size == expected.sam_image_size


def test_a_start_without_weights_is_named(finished: Path, tmp_path: Path) -> None:
    plan = plan_from(tmp_path / "none")
    with pytest.raises(ValueError, match=r"none/model\.safetensors is missing: train the stage"):
        Ablation(plan, tmp_path, finished / "scenes").run()


def test_the_repository_s_page_shows_its_own_reports() -> None:
    docs = Path(__file__).parents[3] / "docs"
    page = (docs / "ablation.md").read_text()
    assert rendered(page, docs / "ablation") == page
