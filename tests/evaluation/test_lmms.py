"""The plugin in the installed lmms-eval: found by its entry point, run by its evaluator, on local data sets."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.decoding.options import TEXT_BUDGET
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.lmms import TASKS
from perceptio.evaluation.lmms.answers import from_json
from perceptio.evaluation.refseg import open_refer
from perceptio.evaluation.runner import run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.tokens import Switch

pytest.importorskip("lmms_eval", reason="needs lmms-eval: see docs/lmms.md")

import datasets
from datasets import Dataset
from lmms_eval import tasks
from lmms_eval.api.instance import Instance
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager

from perceptio.evaluation.lmms.model import PerceptioLmms

HEIGHT, WIDTH = 60, 80
VQA = """
task: local_vqa
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function local.pictures
doc_to_text: question
doc_to_target: answer
process_results: !function local.process_results
generation_kwargs: {{until: ["e"], max_new_tokens: 12, temperature: 0.7, do_sample: true}}
metric_list: [{{metric: length, aggregation: mean, higher_is_better: true}}]
"""
FUNCTIONS = """
from PIL import Image


def pictures(doc):
    return [Image.open(path) for path in doc["images"]]


def process_results(doc, results):
    return {"length": len(results[0])}
"""


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> PerceptioLmms:
    return PerceptioLmms(str(tiny_folder), batch_size=2, device="cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number in (1, 2, 3):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        paths.append(folder / f"COCO_train2014_{number:012d}.jpg")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def write_refer(root: Path, dataset: str) -> None:
    """Two expressions about each of the three pictures, in the original format."""
    references = [
        {
            "ref_id": image,
            "ann_id": image if dataset == "refcoco" else ([-1] if image == 3 else [image]),
            "split": "val",
            "image_id": image,
            "sentences": [{"sent": f"red thing {image}"}, {"sent": "the left one."}],
        }
        for image in (1, 2, 3)
    ]
    names = [
        {"id": k, "file_name": f"COCO_train2014_{k:012d}.jpg", "height": HEIGHT, "width": WIDTH} for k in (1, 2, 3)
    ]
    outline = [5, 5, 75, 8, 70, 55, 10, 50]
    annotations = [{"id": k, "image_id": k, "segmentation": [outline]} for k in (1, 2, 3)]
    (root / dataset).mkdir()
    (root / dataset / "instances.json").write_text(json.dumps({"images": names, "annotations": annotations}))
    if dataset == "refcoco":
        (root / dataset / "refs(unc).p").write_bytes(pickle.dumps(references, 2))
    else:
        (root / dataset / "grefs(unc).json").write_text(json.dumps(references))


def requests(model: PerceptioLmms, pictures: Sequence[Sequence[Path]], options: Sequence[dict[str, Any]]) -> list[Any]:
    """One request for each list of pictures."""
    model.task_dict["made"] = {"test": [[str(path) for path in row] for row in pictures]}
    return [
        Instance(
            request_type="generate_until",
            arguments=(f"What is at {number}?", dict(kwargs), lambda doc: doc, number, "made", "test"),
            idx=0,
            metadata={"task": "made", "doc_id": number, "repeats": 1},
        )
        for number, kwargs in enumerate(options)
    ]


def first_tokens(tiny: Perceptio, text: str, count: int) -> str:
    """A text of more tokens cut after some, without the half character that this may leave."""
    ids = tiny.processor.tokenizer.encode(text, add_special_tokens=False)
    return text if len(ids) <= count else tiny.processor.tokenizer.decode(ids[:count]).rstrip("�")


def test_the_package_declares_its_entry_point() -> None:
    (point,) = [point for point in entry_points(group="lmms_eval.models") if point.name == "perceptio"]
    manifest = point.load()()
    assert manifest.model_id == "perceptio"
    assert manifest.simple_class_path == f"{PerceptioLmms.__module__}.{PerceptioLmms.__name__}"


def test_answers_come_in_the_order_of_requests(model: PerceptioLmms, tiny: Perceptio, pictures: list[Path]) -> None:
    """Requests of several options, which are answered in groups."""
    options: list[dict[str, Any]] = [
        {"seg": ("on", "off")[number % 2], "depth": "off", "response": ("text", "json")[number % 2]}
        for number in range(5)
    ]
    options[3] |= {"seg": "on"}
    rows = [[pictures[number % 3]] for number in range(5)]
    given = model.generate_until(requests(model, rows, options))
    for number, answer in enumerate(given):
        prompt = f"What is at {number}?"
        alone = tiny.ask(rows[number][0], prompt, seg=options[number]["seg"], depth="off")
        if number % 2:
            read = from_json(answer)
            assert (read.text, list(read.masks)) == (alone.text, [mask.rle for mask in alone.masks])
        else:
            assert answer == alone.text
    assert len(set(given)) == 5


def test_until_and_the_number_of_tokens_bound_the_text(
    model: PerceptioLmms, tiny: Perceptio, pictures: list[Path]
) -> None:
    whole = tiny.ask(pictures[0], "What is at 0?", seg="off", depth="off").text
    assert first_tokens(tiny, whole, 6) != whole, "the tiny model has to talk for this test"
    off = {"seg": "off", "depth": "off"}

    def answer(**more: Any) -> str:
        return model.generate_until(requests(model, [[pictures[0]]], [off | more]))[0]

    six = first_tokens(tiny, whole, 6)
    assert answer(max_new_tokens=6, until=None) == six
    assert answer(max_new_tokens=6, until=six[2]) == six[: six.index(six[2])]
    assert answer(max_new_tokens=6, until=[six[2], "never said"]) == six[: six.index(six[2])]
    assert answer(max_new_tokens=100_000) == first_tokens(tiny, whole, TEXT_BUDGET)  # its context holds no more


@pytest.mark.parametrize("count", [0, 2])
def test_no_picture_or_several_are_one_sentence(model: PerceptioLmms, pictures: list[Path], count: int) -> None:
    with pytest.raises(EvaluationError) as caught:
        model.generate_until(requests(model, [pictures[:count]], [{}]))
    assert str(caught.value) == (
        f"question 0 of made comes with {count} pictures, but perceptio answers questions about one: choose tasks of "
        "one picture a question"
    )


def test_what_it_cannot_do_is_refused_in_one_sentence(model: PerceptioLmms, tiny_folder: Path) -> None:
    with pytest.raises(EvaluationError, match="does not rate given ones"):
        model.loglikelihood([])
    with pytest.raises(EvaluationError, match="one question at a time"):
        model.generate_until_multi_round([])
    with pytest.raises(EvaluationError, match="response is text or json, not 'xml'"):
        model.generate_until(requests(model, [[]], [{"response": "xml"}]))
    for size in ("auto", 0, "0"):
        with pytest.raises(EvaluationError, match="batch_size is a whole number, at least 1, not"):
            PerceptioLmms(str(tiny_folder), batch_size=size)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"until": 5}, "until .* 5"),
        ({"until": ["a", None]}, "until .*None"),
        ({"max_new_tokens": "many"}, "max_new_tokens .*'many'"),
        ({"max_new_tokens": 0}, "max_new_tokens .*0"),
        ({"max_new_tokens": True}, "max_new_tokens .*True"),
        ({"max_new_tokens": 1.5}, r"max_new_tokens .*1\.5"),
        ({"seg": "perhaps"}, "seg .*'perhaps'"),
        ({"depth": None}, "depth .*None"),
        ({"response": ["json"]}, r"response .*\['json'\]"),
    ],
)
def test_odd_options_of_a_task_are_named(
    model: PerceptioLmms, pictures: list[Path], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(EvaluationError, match=named):
        model.generate_until(requests(model, [[pictures[0]]], [options]))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seg": "perhaps"}, "seg .*'perhaps'"),
        ({"depth": True}, "depth .*True"),
        ({"constrained": "no"}, "constrained .*'no'"),
        ({"batch_size": "\u00b2"}, "batch_size .*\u00b2"),
        ({"batch_size": -1}, "batch_size .*-1"),
        ({"max_text_tokens": "x"}, "max_text_tokens .*'x'"),
    ],
)
def test_odd_arguments_of_the_model_are_named(tiny_folder: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(EvaluationError, match=named):
        PerceptioLmms(str(tiny_folder), device="cpu", **options)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for tasks; whatever `datasets` writes stays beside it."""
    monkeypatch.setenv("LMMS_EVAL_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "seg_on"), [("refcoco", False), ("grefcoco", False), ("grefcoco", True)])
def test_mask_tasks_give_the_figures_of_perceptio_eval(
    local: Path,
    tiny: Perceptio,
    tiny_folder: Path,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    dataset: str,
    seg_on: bool,
) -> None:
    """Left alone, the tiny model finds nothing in gRefCOCO: the third run forces it to look."""
    write_refer(local, dataset)
    benchmark = open_refer(local, pictures[0].parent, dataset, "val")
    if seg_on:
        benchmark.seg = Switch.ON
    report = run_benchmark(tiny, benchmark, local / "out", progress=False).report
    monkeypatch.setenv("PERCEPTIO_REFER_ROOT", str(local))
    monkeypatch.setenv("PERCEPTIO_REFER_IMAGES", str(pictures[0].parent))
    name = f"{dataset}_mask_val"
    results = simple_evaluate(
        "perceptio",
        model_args=f"pretrained={tiny_folder}",
        batch_size=32,
        device="cpu",
        tasks=[name],
        gen_kwargs="seg=on" if seg_on else None,
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
    )
    found = {
        key.removesuffix(",none"): value
        for key, value in results["results"][name].items()
        if key.endswith(",none") and "_stderr" not in key
    }
    assert found == {figure.name: pytest.approx(figure.value, abs=1e-12) for figure in report.figures}
    assert (found["RES cIoU"] > 0) == (seg_on or dataset == "refcoco")
    assert len(results["samples"][name]) == 6
    json.dumps(results["samples"][name])


@pytest.mark.slow
def test_folders_that_are_not_named_are_one_sentence(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERCEPTIO_REFER_ROOT", raising=False)
    monkeypatch.setenv("PERCEPTIO_REFER_IMAGES", str(local))
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    with pytest.raises(EvaluationError, match=r"^PERCEPTIO_REFER_ROOT must name a folder: "):
        manager.load_task_or_group(["refcoco_mask_val"])


@pytest.mark.slow
def test_a_task_of_lmms_eval_runs_on_a_local_copy_of_its_data(
    local: Path, tiny: Perceptio, tiny_folder: Path, pictures: list[Path]
) -> None:
    """POPE, whose pictures lie in the table itself, as those of most tasks on the hub."""
    rows = {
        "question_id": ["0", "1", "2"],
        "question": [f"Is there a dog at {number}?" for number in range(3)],
        "answer": ["yes", "no", "no"],
        "image": [str(path) for path in pictures],
    }
    Dataset.from_dict(rows).cast_column("image", datasets.Image()).to_parquet(local / "pope.parquet")
    results = simple_evaluate(
        "perceptio",
        model_args=f"pretrained={tiny_folder},depth=off",
        device="cpu",
        tasks=[
            {
                "task": "pope",
                "dataset_path": "parquet",
                "dataset_kwargs": {"data_files": {"test": str(local / "pope.parquet")}},
            }
        ],
        task_manager=TaskManager(include_path=str(Path(tasks.__file__).parent / "pope"), include_defaults=False),
    )
    assert results["results"]["pope"]["pope_accuracy,none"] == 0  # random letters are neither yes nor no
    samples = results["samples"]["pope"]
    assert [sample["target"] for sample in samples] == rows["answer"]
    for sample, picture, question in zip(samples, pictures, rows["question"], strict=True):
        prompt = f"{question}\nAnswer the question using a single word or phrase."
        whole = tiny.ask(picture, prompt, depth="off").text
        assert sample["filtered_resps"] == [first_tokens(tiny, whole, 128).strip()]


CHOICES = [["a fox", "a hare"], ["one", "two", "three"], ["up", "down", "left", "right"]]
DIRECTLY = "Answer with the option's letter from the given choices directly."


def choice_rows(task: str, pictures: Sequence[Path | None]) -> dict[str, list[Any]]:
    """Three questions with the fields of AI2D's or ScienceQA's table on the hub."""
    rows: dict[str, list[Any]] = {
        "question": [f"What is at {number}?" for number in range(3)],
        "image": [None if path is None else str(path) for path in pictures],
    }
    if task == "ai2d":
        return rows | {"options": CHOICES, "answer": ["1", "0", "3"]}
    return rows | {"choices": CHOICES, "answer": [1, 0, 3], "hint": ["", "Look well.", ""]}


def evaluate_choices(local: Path, tiny_folder: Path, task: str, pictures: Sequence[Path | None]) -> dict[str, Any]:
    """What lmms-eval finds on such a table with its own task."""
    path = local / f"{task}.parquet"
    Dataset.from_dict(choice_rows(task, pictures)).cast_column("image", datasets.Image()).to_parquet(path)
    changes = {"dataset_path": "parquet", "dataset_name": None, "dataset_kwargs": {"data_files": {"test": str(path)}}}
    folder = Path(tasks.__file__).parent / ("ai2d" if task == "ai2d" else "scienceqa")
    return simple_evaluate(
        "perceptio",
        model_args=f"pretrained={tiny_folder},depth=off",
        device="cpu",
        tasks=[{"task": task} | changes],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", ["ai2d", "scienceqa_img"])
def test_multiple_choice_of_lmms_eval_runs_on_tables_like_the_hubs(
    local: Path, tiny: Perceptio, tiny_folder: Path, pictures: list[Path], task: str
) -> None:
    results = evaluate_choices(local, tiny_folder, task, pictures)
    (score,) = (value for name, value in results["results"][task].items() if name.startswith("exact_match,"))
    samples = results["samples"][task]
    assert [sample["target"] for sample in samples] == ["B", "A", "D"]
    answers = []
    for number, sample in enumerate(samples):
        options = "".join(f"{letter}. {choice}\n" for letter, choice in zip("ABCD", CHOICES[number], strict=False))
        hint = "Context: Look well.\n" if task == "scienceqa_img" and number == 1 else ""
        prompt = f"{hint}What is at {number}?\n{options}{DIRECTLY}"
        whole = tiny.ask(pictures[number], prompt, depth="off").text
        answers.append(first_tokens(tiny, whole, 16))
        assert [text.strip() for text in sample["filtered_resps"]] == [answers[-1].strip()]
    assert score == sum(text.strip() == sample["target"] for text, sample in zip(answers, samples, strict=True)) / 3


@pytest.mark.slow
def test_a_question_without_a_picture_is_named(local: Path, tiny_folder: Path, pictures: list[Path]) -> None:
    """`scienceqa` has such questions, `scienceqa_img` has none."""
    with pytest.raises(EvaluationError, match="question 1 of scienceqa comes with 0 pictures"):
        evaluate_choices(local, tiny_folder, "scienceqa", [pictures[0], None, pictures[2]])


@pytest.mark.slow
def test_an_ordinary_task_runs_from_the_command_line(
    local: Path, tiny: Perceptio, tiny_folder: Path, pictures: list[Path]
) -> None:
    rows = [
        {"question": f"What is at {number}?", "answer": "a cube", "images": [str(pictures[number % 3])]}
        for number in range(5)
    ]
    (local / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (local / "tasks").mkdir()
    (local / "tasks" / "local_vqa.yaml").write_text(VQA.format(file=local / "rows.jsonl"))
    (local / "tasks" / "local.py").write_text(FUNCTIONS)
    command = [
        *(sys.executable, "-m", "lmms_eval", "--model", "perceptio"),
        *("--model_args", f"pretrained={tiny_folder},seg=off,depth=off", "--device", "cpu", "--batch_size", "3"),
        *("--tasks", "local_vqa", "--include_path", str(local / "tasks")),
        *("--output_path", str(local / "out"), "--log_samples"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=local)
    assert done.returncode == 0, done.stderr
    assert "local_vqa" in done.stdout
    (samples,) = (local / "out").rglob("*_samples_local_vqa.jsonl")
    (report,) = (local / "out").rglob("*_results.json")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for number, line in enumerate(sorted(lines, key=lambda line: line["doc_id"])):
        whole = tiny.ask(rows[number]["images"][0], rows[number]["question"], seg="off", depth="off").text
        assert line["filtered_resps"] == first_tokens(tiny, whole, 12).partition("e")[0].strip()
    assert json.loads(report.read_text())["results"]["local_vqa"]["length,none"] > 0
