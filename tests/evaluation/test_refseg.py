"""The protocol of referring segmentation, rule by rule; docs/evaluation.md names these tests."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from perceptio.data.refer import Reference, ReferredImage, ReferSplit
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.folder import load_samples
from perceptio.evaluation.judged import Judged, Overlap
from perceptio.evaluation.refseg import ReferringBenchmark, open_refer, prompt_for
from perceptio.evaluation.runner import run_benchmark
from perceptio.pipeline import Perceptio
from perceptio.results import Answer, Mask, Trace
from perceptio.tokens import Switch

HEIGHT, WIDTH = 30, 40
EMPTY = np.zeros((HEIGHT, WIDTH), bool)
SQUARE = EMPTY.copy()
SQUARE[5:15, 10:30] = True  # 200 pixels


def rle(mask: np.ndarray) -> dict[str, Any]:
    return dict(coco.encode(np.asfortranarray(mask.astype(np.uint8))))


def benchmark_of(*targets: np.ndarray | None, dataset: str = "refcoco") -> ReferringBenchmark:
    """One picture and, for each target, a reference of two expressions; None: nothing fits."""
    references = tuple(
        Reference(row, (f"thing {row}", f"That thing {row}."), None if target is None else rle(target))
        for row, target in enumerate(targets)
    )
    split = ReferSplit(dataset, "val", (ReferredImage("a.jpg", HEIGHT, WIDTH, references),), {})
    return ReferringBenchmark(split, {"a.jpg": Path("a.jpg")})


def answer(*masks: np.ndarray) -> Answer:
    return Answer("", [Mask(mask, 1.0) for mask in masks], None, Trace(raw=""))


def scored(benchmark: ReferringBenchmark, answers: Sequence[Answer]) -> list[Judged]:
    items = [item for unit in range(len(benchmark)) for item in benchmark.items(unit)]
    return [benchmark.score(item, [given]) for item, given in zip(items, answers, strict=True)]


def values(benchmark: ReferringBenchmark, samples: Sequence[Judged]) -> dict[str, tuple[float, int]]:
    return {figure.name: (figure.value, figure.count) for figure in benchmark.figures(samples)}


def test_the_prompt_is_fixed() -> None:
    assert prompt_for(" The man in the RED shirt. ") == "Please segment the man in the red shirt in this image."
    assert prompt_for("no. 5 ") == "Please segment no. 5 in this image."


@pytest.mark.parametrize("dataset", ["refcoco", "refcoco+", "refcocog"])
def test_a_mask_is_asked_for_where_an_object_exists(dataset: str) -> None:
    ((ask,), *_) = [item.asks for item in benchmark_of(SQUARE, dataset=dataset).items(0)]
    assert (ask.seg, ask.depth) == (Switch.ON, Switch.AUTO)


def test_the_model_may_find_nothing_in_generalized_expressions() -> None:
    ((ask,), *_) = [item.asks for item in benchmark_of(SQUARE, dataset="grefcoco").items(0)]
    assert (ask.seg, ask.depth) == (Switch.AUTO, Switch.AUTO)


def test_every_expression_is_a_sample() -> None:
    benchmark = benchmark_of(SQUARE, ~SQUARE)
    samples = scored(benchmark, [answer(SQUARE)] * 4)
    assert [sample.key for sample in samples] == ["0/0", "0/1", "1/0", "1/1"]
    assert [sample.record["expression"] for sample in samples][:2] == ["thing 0", "That thing 0."]
    assert {sample.image for sample in samples} == {"a.jpg"}
    figures = values(benchmark, samples)
    assert figures["RES gIoU"] == (0.5, 4)
    assert figures["RES cIoU"] == (pytest.approx(400 / (400 + 2 * HEIGHT * WIDTH)), 4)


def test_a_missing_mask_is_empty_and_counts() -> None:
    benchmark = benchmark_of(SQUARE)
    samples = scored(benchmark, [answer(SQUARE), answer()])
    assert [sample.outcomes["RES"] for sample in samples] == [Overlap(200, 200), Overlap(0, 200)]
    figures = values(benchmark, samples)
    assert figures["RES cIoU"] == figures["RES gIoU"] == figures["P@0.5"] == (0.5, 2)
    assert figures["expressions without a mask"] == (0.5, 2)


def test_all_masks_of_an_answer_are_joined() -> None:
    left, right = SQUARE.copy(), SQUARE.copy()
    left[:, 22:] = right[:, :18] = False
    assert (left & right).any()
    first, second = scored(benchmark_of(SQUARE), [answer(left, right), answer(left)])
    assert first.outcomes["RES"] == Overlap(200, 200)
    assert second.outcomes["RES"] == Overlap(120, 200)


def test_two_empty_masks_agree_only_where_nothing_is_meant() -> None:
    for dataset in ("refcoco", "grefcoco"):
        sample, _ = scored(benchmark_of(EMPTY, dataset=dataset), [answer(), answer()])
        assert sample.outcomes["RES"] == Overlap(0, 1)  # an object of no pixels is missed all the same
    sample, _ = scored(benchmark_of(None, dataset="grefcoco"), [answer(), answer()])
    assert sample.outcomes["RES"] == Overlap(0, 0)
    assert sample.outcomes["RES"].iou == 1.0


def test_precision_counts_an_iou_at_the_threshold() -> None:
    pieces = {}
    for pixels in (99, 100, 140, 179, 180):
        mask = EMPTY.ravel().copy()
        mask[np.flatnonzero(SQUARE)[:pixels]] = True
        pieces[pixels] = mask.reshape(SQUARE.shape)
    passed = {
        pixels: [
            limit for limit in (0.5, 0.6, 0.7, 0.8, 0.9) if scored_once(SQUARE, piece).outcomes[f"P@{limit}"] is True
        ]
        for pixels, piece in pieces.items()
    }
    assert passed == {
        99: [],
        100: [0.5],
        140: [0.5, 0.6, 0.7],
        179: [0.5, 0.6, 0.7, 0.8],
        180: [0.5, 0.6, 0.7, 0.8, 0.9],
    }


def scored_once(target: np.ndarray, predicted: np.ndarray) -> Judged:
    benchmark = benchmark_of(target)
    return benchmark.score(benchmark.items(0)[0], [answer(predicted)])


def test_generalized_figures_follow_gres() -> None:
    """Four expressions with a target, one of them missed, and four without, one of them refused as it should be."""
    benchmark = benchmark_of(SQUARE, SQUARE, None, None, dataset="grefcoco")
    half = SQUARE.copy()
    half[10:] = False
    samples = scored(benchmark, [answer(*masks) for masks in ([half], [], [half], [half], [], [half], [half], [half])])
    figures = values(benchmark, samples)
    assert figures["RES gIoU"] == (pytest.approx((3 * 0.5 + 1) / 8), 8)
    assert figures["RES cIoU"] == (pytest.approx(3 * 100 / (4 * 200 + 3 * 100)), 8)
    assert figures["N-acc"] == (0.25, 4)
    assert figures["T-acc"] == (0.75, 4)
    assert figures["P@0.5"] == (0.75, 4)  # of expressions with a target alone
    assert "expressions without a mask" not in figures


@pytest.mark.parametrize("seed", range(3))
def test_figures_agree_with_pycocotools_and_with_counting_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = [rng.random((HEIGHT, WIDTH)) < rng.uniform(0.05, 0.95) for _ in range(6)]
    predictions = [rng.random((HEIGHT, WIDTH)) < rng.uniform(0, 1) for _ in range(12)]
    benchmark = benchmark_of(*targets)
    figures = values(benchmark, scored(benchmark, [answer(mask) for mask in predictions]))
    pairs = [(mask, targets[number // 2]) for number, mask in enumerate(predictions)]

    ious = [float(coco.iou([rle(mask)], [rle(target)], [False])[0, 0]) for mask, target in pairs]
    assert figures["RES gIoU"][0] == pytest.approx(np.mean(ious), abs=1e-9)
    shared, either = 0, 0
    for mask, target in pairs:
        for one, two in zip(mask.ravel().tolist(), target.ravel().tolist(), strict=True):
            shared += one and two
            either += one or two
    assert figures["RES cIoU"][0] == pytest.approx(shared / either, abs=1e-9)


def write(root: Path, dataset: str, *, sizes: dict[int, tuple[int, int]] | None = None) -> Path:
    """Annotations of the split val over the pictures 1, 2 and 3, in their formats; returns the folder of pictures."""
    references = [
        {
            "ref_id": image,
            "ann_id": image if dataset == "refcoco" else ([-1] if image == 3 else [image]),
            "file_name": f"COCO_train2014_{image:012d}_{image}.jpg",
            "split": "val",
            "image_id": image,
            "sentences": [{"sent_id": image, "sent": f"thing {image}"}, {"sent_id": 9 + image, "sent": "left one"}],
        }
        for image in (1, 2, 3)
    ]
    instances = {
        "images": [
            {"id": image, "file_name": f"COCO_train2014_{image:012d}.jpg", "height": HEIGHT, "width": WIDTH}
            for image in (1, 2, 3)
        ],
        "annotations": [
            {"id": image, "image_id": image, "segmentation": [[10, 5, 30, 5, 30, 15, 10, 15]]} for image in (1, 2, 3)
        ],
    }
    folder = root / dataset
    folder.mkdir(parents=True)
    (folder / "instances.json").write_text(json.dumps(instances))
    if dataset == "refcoco":
        (folder / "refs(unc).p").write_bytes(pickle.dumps(references, 2))
    else:
        (folder / "grefs(unc).json").write_text(json.dumps(references))
    images = root / "images" / "train2014"
    images.mkdir(parents=True)
    for image in (1, 2, 3):
        height, width = (sizes or {}).get(image, (HEIGHT, WIDTH))
        pixels = np.random.default_rng(image).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"COCO_train2014_{image:012d}.jpg")
    return images


def test_pictures_are_found_in_the_folder_or_in_its_train2014(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco")
    for folder in (images, images.parent):
        benchmark = open_refer(tmp_path, folder, "refcoco", "val")
        assert len(benchmark) == 3
        assert benchmark.items(2)[0].asks[0].image == images / "COCO_train2014_000000000003.jpg"
        assert coco.area(benchmark.items(2)[0].truth.target) == 200


def test_missing_pictures_are_an_error_that_counts_them(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco")
    for image in (2, 3):
        (images / f"COCO_train2014_{image:012d}.jpg").unlink()
    with pytest.raises(EvaluationError) as caught:
        open_refer(tmp_path, images, "refcoco", "val")
    assert str(caught.value) == (
        f"2 of the 3 images of refcoco val are missing in {images}, the first is COCO_train2014_000000000002.jpg: "
        "put COCO's train2014 images there, or give allow_missing=True (--allow-missing) to run on the rest"
    )


def test_allowed_missing_pictures_are_told_in_the_settings(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco")
    whole = open_refer(tmp_path, images, "refcoco", "val")
    (images / "COCO_train2014_000000000001.jpg").unlink()
    part = open_refer(tmp_path, images, "refcoco", "val", allow_missing=True)
    assert [item.key for item in part.items(0)] == [item.key for item in whole.items(1)]
    assert {key: part.settings[key] for key in ("images", "missing_images", "expressions", "missing_expressions")} == {
        "images": 2,
        "missing_images": 1,
        "expressions": 4,
        "missing_expressions": 2,
    }
    assert whole.settings["missing_images"] == whole.settings["missing_expressions"] == 0


def test_no_picture_at_all_is_an_error_even_if_some_may_be_missing(tmp_path: Path) -> None:
    write(tmp_path, "refcoco")
    with pytest.raises(EvaluationError, match=r"^3 of the 3 images .*: put COCO's train2014 images there$"):
        open_refer(tmp_path, tmp_path / "elsewhere", "refcoco", "val", allow_missing=True)


def test_the_settings_name_the_question_and_the_files(tmp_path: Path) -> None:
    images = write(tmp_path, "grefcoco")
    settings = open_refer(tmp_path, images, "grefcoco", "val").settings
    assert (settings["dataset"], settings["split"], settings["expressions"]) == ("grefcoco", "val", 6)
    assert settings["prompt"] == "Please segment {expression} in this image."
    assert (settings["seg"], settings["depth"]) == ("auto", "auto")
    assert set(settings["annotations"]) == {"grefs(unc).json", "instances.json"}
    assert all(len(digest) == 16 for digest in settings["annotations"].values())
    assert json.loads(json.dumps(settings)) == settings


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco", sizes={2: (HEIGHT, WIDTH // 2)})
    with pytest.raises(EvaluationError) as caught:
        open_refer(tmp_path, images, "refcoco", "val")
    assert str(caught.value) == (
        f"{images / 'COCO_train2014_000000000002.jpg'} is 20 x 30 pixels but its annotations are for 40 x 30: "
        "use COCO's original train2014 images"
    )


def test_sizes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    Image.new("RGB", (HEIGHT, WIDTH)).save(images / "COCO_train2014_000000000001.jpg", exif=exif)
    assert len(open_refer(tmp_path, images, "refcoco", "val")) == 3


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco")
    path = images / "COCO_train2014_000000000002.jpg"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(EvaluationError) as caught:
        open_refer(tmp_path, images, "refcoco", "val")
    assert str(caught.value).startswith(f"{path} is not an image")


@pytest.mark.parametrize("dataset", ["refcoco", "grefcoco"])
def test_a_model_runs_through(tiny: Perceptio, tmp_path: Path, dataset: str) -> None:
    images = write(tmp_path, dataset)
    benchmark = open_refer(tmp_path, images, dataset, "val")
    results = run_benchmark(tiny, benchmark, tmp_path / "out", progress=False)
    figures = json.loads(results.report.to_json())["figures"]
    assert figures["RES cIoU"]["count"] == figures["RES gIoU"]["count"] == figures["malformed answers"]["count"] == 6
    samples = load_samples(results.folder)
    assert [sample.key for sample in samples] == [f"{row}/{number}" for row in range(3) for number in range(2)]
    if dataset == "grefcoco":
        assert (figures["N-acc"]["count"], figures["T-acc"]["count"], figures["P@0.9"]["count"]) == (2, 4, 4)
    alone = tiny.ask(images / "COCO_train2014_000000000002.jpg", prompt_for("thing 2"), seg=benchmark.seg)
    assert samples[2].record["raw"] == alone.trace.raw


def test_a_picture_of_too_many_pixels_is_named(tmp_path: Path) -> None:
    images = write(tmp_path, "refcoco")
    path = images / "COCO_train2014_000000000002.jpg"
    header = bytearray(path.read_bytes())
    place = header.index(b"\xff\xc0") + 5  # height and width of the frame
    header[place : place + 4] = (60_000).to_bytes(2, "big") * 2
    path.write_bytes(header)
    with pytest.raises(EvaluationError, match=f"{path} has .* megapixels"):
        open_refer(tmp_path, images, "refcoco", "val")


def test_a_question_names_its_reference(tmp_path: Path) -> None:
    benchmark = open_refer(tmp_path, write(tmp_path, "refcoco"), "refcoco", "val")
    assert benchmark.items(2)[1].where == "reference 2 of refs(unc).p"
