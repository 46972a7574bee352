"""Mask tasks for lmms-eval without lmms-eval: answers in JSON, documents, figures, and the YAML files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from perceptio.data.refer import COLLECTIONS, Reference, ReferredImage, ReferSplit
from perceptio.data.rle import mask_rle
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.lmms import TASKS, refer
from perceptio.evaluation.lmms.answers import cut, from_json, to_json
from perceptio.evaluation.refseg import ReferringBenchmark
from perceptio.results import Answer, Mask, Trace
from perceptio.tokens import Switch

HEIGHT, WIDTH = 6, 9
RNG = np.random.default_rng(0)
TARGETS = [RNG.random((HEIGHT, WIDTH)) < 0.5, None, np.zeros((HEIGHT, WIDTH), bool)]


def answer(*masks: np.ndarray, malformed: tuple[str, ...] = ()) -> Answer:
    found = [Mask(mask, 0.5, "the cube") for mask in masks]
    return Answer("It is\nthe cube.", found, None, Trace(raw="", malformed=list(malformed)))


def benchmark(dataset: str) -> ReferringBenchmark:
    references = tuple(
        Reference(row, (f"Thing {row}.", "it"), None if target is None else mask_rle(target))
        for row, target in enumerate(TARGETS)
        if target is not None or dataset == "grefcoco"
    )
    split = ReferSplit(dataset, "val", (ReferredImage("a.png", HEIGHT, WIDTH, references),), {})
    return ReferringBenchmark(split, {"a.png": Path("folder/a.png")})


def test_text_ends_before_the_first_stop_string() -> None:
    assert cut("one. two\n\nthree", ["\n\n", ". "]) == "one"
    assert cut("one", ["two", ""]) == "one"
    assert cut("one", []) == "one"


def test_an_answer_survives_json() -> None:
    mask = TARGETS[0]
    assert mask is not None
    written = to_json(answer(mask, ~mask, malformed=("second depth span",)), "Füße")
    assert json.loads(written)["masks"][0] == {"rle": Mask(mask, 0.5).rle, "score": 0.5, "phrase": "the cube"}
    read = from_json(written)
    assert (read.text, read.malformed) == ("Füße", ("second depth span",))
    assert read.masks == (Mask(mask, 0.5).rle, Mask(~mask, 0.5).rle)


@pytest.mark.parametrize(
    ("response", "field"),
    [
        ("The red cube.", ""),
        ("", ""),
        ("[" * 5000, ""),
        ("[1]", "text"),
        ("7", "text"),
        ('{"text": 1}', "text"),
        ('{"text": "a"}', "masks"),
        ('{"text": "a", "masks": {}, "malformed": []}', "masks"),
        ('{"text": "a", "masks": [1], "malformed": []}', r"masks\[0\]"),
        ('{"text": "a", "masks": [{"rle": 1}], "malformed": []}', r"masks\[0\]"),
        ('{"text": "a", "masks": []}', "malformed"),
        (None, "NoneType"),
    ],
)
def test_an_answer_without_masks_is_refused_not_scored(response: Any, field: str) -> None:
    with pytest.raises(EvaluationError, match=f"{field}.*--model perceptio"):
        from_json(response)


def test_documents_are_json_safe_and_in_the_benchmarks_order() -> None:
    rows = refer.documents(benchmark("grefcoco"))
    assert [row["key"] for row in rows] == ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"]
    assert [row["exists"] for row in rows] == [True, True, False, False, True, True]
    assert {row["image"] for row in rows} == {str(Path("folder/a.png"))}
    assert rows[0]["prompt"] == "Please segment thing 0 in this image."
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize("dataset", ["refcoco", "grefcoco"])
def test_figures_are_those_of_perceptio_eval(dataset: str) -> None:
    """Random masks, one, several or none an answer, scored by both."""
    rng = np.random.default_rng(1)
    scorer = benchmark(dataset)
    items = scorer.items(0)
    answers = [
        answer(*(rng.random((HEIGHT, WIDTH)) < 0.4 for _ in range(number % 3)), malformed=("x",) * (number % 2))
        for number in range(len(items))
    ]
    expected = scorer.figures([scorer.score(item, [given]) for item, given in zip(items, answers, strict=True)])

    values: dict[str, list[Any]] = {}
    for doc, given in zip(refer.documents(scorer), answers, strict=True):
        for name, value in refer.process_results(doc, [to_json(given, given.text)]).items():
            values.setdefault(name, []).append(value)
    found = {
        name: {"RES cIoU": refer.ciou, "RES gIoU": refer.giou}.get(name, lambda items: sum(items) / len(items))(items)
        for name, items in values.items()
    }
    assert found == {figure.name: figure.value for figure in expected}
    assert {name: len(items) for name, items in values.items()} == {figure.name: figure.count for figure in expected}
    assert 0 < found["RES cIoU"] < 1
    json.dumps(values)


def test_a_mask_of_another_size_is_refused() -> None:
    doc = refer.documents(benchmark("refcoco"))[0]
    with pytest.raises(EvaluationError, match=r"0/0: its mask is \[9, 6\] but the image is \[6, 9\]"):
        refer.process_results(doc, [to_json(answer(np.ones((WIDTH, HEIGHT), bool)), "")])


@pytest.mark.parametrize("counts", ["", "zzzz", "0" * 1000, [54, -3, 3], None, 7])
def test_a_damaged_mask_is_refused_before_pycocotools_reads_it(counts: Any) -> None:
    doc = refer.documents(benchmark("refcoco"))[0]
    rle = {"size": [HEIGHT, WIDTH], "counts": counts}
    response = json.dumps({"text": "", "masks": [{"rle": rle}], "malformed": []})
    with pytest.raises(EvaluationError, match="0/0: its "):
        refer.process_results(doc, [response])


def test_expressions_in_a_row_share_their_picture(tmp_path: Path) -> None:
    doc = {"image": str(tmp_path / "a.png")}
    Image.new("RGBA", (4, 3)).save(doc["image"])
    (first,), (second,) = refer.doc_to_visual(doc), refer.doc_to_visual(dict(doc))
    assert first is second
    assert (first.mode, first.size) == ("RGB", (4, 3))


class Loader(yaml.SafeLoader):
    """Takes lmms-eval's `!function` for the name it gives."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))  # type: ignore[type-var]


def test_every_split_but_train_has_a_task_and_it_asks_as_perceptio_eval_does() -> None:
    shared = yaml.load((TASKS / "_mask_task").read_text(), Loader)
    found = {}
    for path in TASKS.glob("*.yaml"):
        task = {**shared, **yaml.load(path.read_text(), Loader)}
        assert (task["include"], path.stem) == ("_mask_task", task["task"])
        found[task["task"]] = task["dataset_path"], task["test_split"]
        asked = {"off": Switch.OFF, "auto": Switch.AUTO, "on": Switch.ON}[task["generation_kwargs"]["seg"]]
        assert asked is benchmark(task["dataset_path"]).seg
        assert task["generation_kwargs"]["depth"] == "auto"
        assert task["generation_kwargs"]["response"] == "json"
    assert found == {
        f"{name}_mask_{split}": (name, split)
        for name, collection in COLLECTIONS.items()
        for split in collection.splits
        if split != "train"
    }


def test_the_tasks_name_every_figure() -> None:
    shared = yaml.load((TASKS / "_mask_task").read_text(), Loader)
    named = {metric["metric"] for metric in shared["metric_list"]}
    assert named == {figure.name for dataset in COLLECTIONS for figure in benchmark(dataset).figures([])} - {"RES"} | {
        "RES cIoU",
        "RES gIoU",
    }
    assert str(shared["metadata"]["version"]) == ReferringBenchmark.protocol
