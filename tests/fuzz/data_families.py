"""Odd pictures, samples, annotations and depth maps."""

from __future__ import annotations

import base64
import io
import json
import pickle
import random
from pathlib import Path
from typing import Any

import mutations
import numpy as np
from PIL import Image
from pycocotools import mask as coco
from rules import LONGEST

from perceptio.data.adapters.registry import convert
from perceptio.data.check import check_files
from perceptio.data.depth_files import read_depth
from perceptio.data.reading import read_sample
from perceptio.data.rle import segmentation_rles, union_rle
from perceptio.data.sample_files import SampleFile, write_samples
from perceptio.data.schema import Sample, Turn
from perceptio.evaluation.hardblink import open_hardblink
from perceptio.evaluation.mmbench import open_mmbench
from perceptio.evaluation.refseg import open_refer
from perceptio.evaluation.runner import load_samples
from perceptio.images import load_working_image, upright_size
from perceptio.labeling.pictures import find_pictures
from perceptio.labeling.prompts import read_prompts

HEIGHT, WIDTH = 32, 48
POLYGON = [8.0, 6.0, 40.0, 6.0, 40.0, 20.0, 8.0, 20.0]


def picture(path: Path, seed: int = 0, kind: str = "PNG", **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, kind, **options)


def slope() -> np.ndarray:
    """A depth map in metres."""
    return np.linspace(1, 4, HEIGHT, dtype=np.float32)[:, None].repeat(WIDTH, 1)


def mutate(path: Path, rng: random.Random, change: Any = mutations.bytes_from) -> None:
    path.write_bytes(change(path.read_bytes(), rng))


class Pictures:
    """A picture of any format: its size by its header is that of its pixels."""

    names = ("odd",)
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "TGA", "ICO")

    def prepare(self, folder: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        for kind in self.kinds:
            options = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") else {}
            picture(folder / kind, kind=kind, **options)
        picture(folder / "LZW", kind="TIFF", compression="tiff_lzw", exif=exif)
        picture(folder / "PROGRESSIVE", kind="JPEG", progressive=True)
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(folder / "DEEP", "PNG")
        (folder / "EPS").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = rng.choice(sorted(folder.iterdir()))
        mutate(path, rng)
        working = load_working_image(path)
        assert working.image.mode == "RGB"
        assert working.size == upright_size(path)


class Samples:
    """A line of a user's JSONL: what the check finds good is read, and written again."""

    names = ("s.jsonl",)

    def prepare(self, folder: Path) -> None:
        picture(folder / "a.png")
        Image.fromarray((slope() * 1000).astype(np.uint16)).save(folder / "d.png")
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[4:20, 4:28] = 1
        code = coco.encode(np.asfortranarray(mask))
        line = {
            "image": "a.png",
            "key": "one",
            "turns": [
                {"question": "Where?", "answer": "<p>One</p> and <p>two</p>.", "task": "referring", "masks": [1, 0]},
                {"question": "How many?", "answer": "2 of them.", "target": "2", "depth": True, "supervise": ["text"]},
            ],
            "masks": [{"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}, [POLYGON]],
            "depth": "d.png",
            "depth_kind": "metric",
            "depth_scale": 1000.0,
            "codes": [0, 1, 2, 3],
            "marks": [{"letter": "A", "x": 3, "y": 4}, {"letter": "B", "x": 30, "y": 20}],
            "licence": "CC0",
        }
        (folder / "s.jsonl").write_text(json.dumps(line) + "\n")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        line = json.loads((folder / "s.jsonl").read_text())
        (folder / "s.jsonl").write_bytes(mutations.json_from(line, rng) + b"\n")
        report = check_files([folder / "s.jsonl"], quiet=True)
        for problem in report.problems:
            assert "\n" not in str(problem)
            assert str(problem).startswith(str(folder / "s.jsonl:")), problem
            assert len(str(problem)) < LONGEST
            json.dumps(report.to_dict())
        if not report.problems:
            again(SampleFile(folder / "s.jsonl"), folder)


def again(file: SampleFile, folder: Path) -> None:
    """Good samples are read as training reads them, written in both formats, and are the same again."""
    samples = [file[number] for number in range(len(file))]
    for number, sample in enumerate(samples):
        read_sample(sample, folder, file.where(number))
    for name in ("again.jsonl", "again.parquet"):
        write_samples(folder / name, samples)
        written = SampleFile(folder / name)
        assert [written[number] for number in range(len(written))] == samples


class Parquet:
    """Samples in parquet."""

    names = ("s.parquet",)

    def prepare(self, folder: Path) -> None:
        picture(folder / "a.png")
        turns = (Turn("Where?", "Here: <p>one</p>.", masks=(0,)),)
        write_samples(folder / "s.parquet", [Sample("a.png", turns, masks=([POLYGON],))] * 3)

    def attempt(self, folder: Path, rng: random.Random) -> None:
        mutate(folder / "s.parquet", rng)
        report = check_files([folder / "s.parquet"], quiet=True)
        if not report.problems:
            again(SampleFile(folder / "s.parquet"), folder)


class MadeSamples:
    """Samples made in Python, of types that JSON has not."""

    names = ("out.jsonl", "out.parquet", "sample", "Sample", "Turn", "Mark")
    odd = (
        *mutations.ODD_VALUES,
        b"bytes",
        np.uint32(3),
        np.float32("nan"),
        np.arange(8.0),
        Path("a.png"),
        object(),
        {1, 2},
        (POLYGON,),
        ({"size": [HEIGHT, WIDTH], "counts": [np.uint32(40), HEIGHT * WIDTH - 40]},),
        (coco.encode(np.ones((HEIGHT, WIDTH), np.uint8, order="F")),),
        (np.zeros((HEIGHT, WIDTH), bool),),
    )

    def prepare(self, folder: Path) -> None:
        picture(folder / "a.png")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        turn = {"question": "Where?", "answer": "Here: <p>one</p>.", "masks": (0,)}
        sample: dict[str, Any] = {"image": "a.png", "masks": ([POLYGON],), "codes": (1, 2), "key": "k", "source": "s"}
        changed = rng.choice((turn, sample))
        changed[rng.choice(list(changed))] = rng.choice(self.odd)
        out = folder / rng.choice(("out.jsonl", "out.parquet"))
        try:
            write_samples(out, [Sample(**sample, turns=(Turn(**turn),))])
        except Exception:
            assert not out.exists()
            raise
        check_files([out], quiet=True)


class Masks:
    """Polygons and run-length codes for a picture of a size."""

    names = ()

    def prepare(self, folder: Path) -> None:
        return

    def attempt(self, folder: Path, rng: random.Random) -> None:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[4:20, 4:28] = 1
        code = coco.encode(np.asfortranarray(mask))
        good: list[Any] = [
            [POLYGON, POLYGON],
            {"size": [HEIGHT, WIDTH], "counts": [100, 200, HEIGHT * WIDTH - 300]},
            {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()},
            {"size": [HEIGHT, WIDTH], "counts": code["counts"]},
        ]
        odd = mutations.value_from({"mask": rng.choice(good)}, rng).get("mask")
        if isinstance(odd, dict) and isinstance(odd.get("counts"), (str, bytes)) and rng.random() < 0.5:
            counts = odd["counts"].encode("utf-8", "surrogatepass") if isinstance(odd["counts"], str) else odd["counts"]
            odd["counts"] = mutations.bytes_from(counts, rng).decode("latin-1")
        rle = union_rle(segmentation_rles(odd, HEIGHT, WIDTH), HEIGHT, WIDTH)
        assert coco.decode(rle).shape == (HEIGHT, WIDTH)


class DepthMaps:
    """A depth map of a file."""

    names = ("d.npy", "d.png", "d.tif")

    def prepare(self, folder: Path) -> None:
        values = slope()
        np.save(folder / "d.npy", values)
        Image.fromarray((values * 1000).astype(np.uint16)).save(folder / "d.png")
        Image.fromarray(values).save(folder / "d.tif")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = rng.choice(sorted(folder.iterdir()))
        mutate(path, rng, mutations.text_from)
        values = read_depth(path, rng.choice(("metric", "inverse")), 1000.0).nearness
        assert np.isfinite(values).all()
        assert values.ndim == 2


class Referring:
    """A folder of RefCOCO: converted, what is written passes the check; and evaluated."""

    names = ("instances.json", "refs(unc).p", "COCO_train2014", "refcoco", "samples.jsonl")

    def prepare(self, folder: Path) -> None:
        names = [f"COCO_train2014_{number:012d}.jpg" for number in (1, 2)]
        for name in names:
            picture(folder / "train2014" / name, kind="JPEG")
        sizes = {"height": HEIGHT, "width": WIDTH}
        content = {
            "images": [{"id": n, "file_name": name, **sizes} for n, name in enumerate(names, 1)],
            "annotations": [{"id": 100 + n, "image_id": n, "iscrowd": 0, "segmentation": [POLYGON]} for n in (1, 2)],
        }
        references = [
            {
                "ref_id": n,
                "ann_id": 100 + n,
                "image_id": n,
                "split": "train",
                "sentences": [{"sent": text, "sent_id": 1} for text in ("red cube", "the cube", ".")],
            }
            for n in (1, 2)
        ]
        (folder / "refcoco").mkdir()
        (folder / "refcoco" / "instances.json").write_text(json.dumps(content))
        (folder / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(references, 2))

    def attempt(self, folder: Path, rng: random.Random) -> None:
        instances, refs = folder / "refcoco" / "instances.json", folder / "refcoco" / "refs(unc).p"
        match rng.randrange(4):
            case 0 | 1:
                instances.write_bytes(mutations.json_from(json.loads(instances.read_bytes()), rng))
            case 2:
                refs.write_bytes(pickle.dumps(mutations.value_from(pickle.loads(refs.read_bytes()), rng), 2))
            case _:
                mutate(refs, rng)
        open_refer(folder, folder / "train2014", "refcoco", "train")
        converted("refcoco", folder)


def converted(name: str, folder: Path) -> None:
    """A conversion writes nothing that the check refuses."""
    out = folder / "out" / "samples.jsonl"
    try:
        convert(name, folder, out)
    except Exception:
        assert not out.exists()
        raise
    report = check_files([out], quiet=True)
    assert not report.problems, report.problems[0]


class Conversations:
    """LLaVA's file."""

    names = ("llava_v1_5_mix665k.json", "pictures are missing, the first is", "llava-665k", "samples.jsonl")

    def prepare(self, folder: Path) -> None:
        picture(folder / "coco" / "train2017" / "1.jpg", kind="JPEG")
        talks = [
            [("human", "<image>\nWhat?"), ("gpt", "A cube."), ("human", "Its colour?"), ("gpt", "Red.")],
            [("human", "<image>\nWrite a paragraph."), ("gpt", "Use <p>Hello</p> and <|im_end|>.")],
        ]
        content = [
            {
                "id": str(number),
                "image": "coco/train2017/1.jpg",
                "conversations": [{"from": who, "value": text} for who, text in talk],
            }
            for number, talk in enumerate(talks)
        ]
        (folder / "llava_v1_5_mix665k.json").write_text(json.dumps(content))

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = folder / "llava_v1_5_mix665k.json"
        path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng))
        converted("llava-665k", folder)


class Choices:
    """MMBench's table."""

    names = ("m.tsv",)

    def prepare(self, folder: Path) -> None:
        picture(folder / "a.jpg", kind="JPEG")
        image = base64.b64encode((folder / "a.jpg").read_bytes()).decode()
        head = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "l2-category", "image", "split"]
        rows = [[str(n), "What colour?", "", "red", "blue", "", "", "A", "x", "attr", image, "dev"] for n in (1, 2)]
        (folder / "m.tsv").write_text("".join("\t".join(row) + "\n" for row in [head, *rows]))

    def attempt(self, folder: Path, rng: random.Random) -> None:
        mutate(folder / "m.tsv", rng, mutations.text_from)
        benchmark = open_mmbench(folder / "m.tsv")
        for unit in range(len(benchmark)):
            for item in benchmark.items(unit):
                for ask in item.asks:
                    load_working_image(ask.image)


class Points:
    """HardBLINK's files."""

    names = ("blink",)

    def prepare(self, folder: Path) -> None:
        for count in (3, 4, 5):
            name = f"blink_{count}pointscenter"
            picture(folder / "images" / f"blink{count}pointscenter" / "0.png")
            for kind, record in (
                ("questions", {"question_id": 0, "image": "0.png", "text": "Which?"}),
                ("answers", {"question_id": 0, "answer": "B"}),
            ):
                suffix = "_questions_long" if kind == "questions" else "_answers"
                (folder / kind).mkdir(exist_ok=True)
                (folder / kind / f"{name}{suffix}.jsonl").write_text(json.dumps(record) + "\n")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = rng.choice(sorted(folder.glob("*s/*.jsonl")))
        path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng) + b"\n")
        benchmark = open_hardblink(folder)
        for unit in range(len(benchmark)):
            benchmark.items(unit)


class Prompts:
    """Boxes and points of a labelling job."""

    names = ("boxes.jsonl",)

    def prepare(self, folder: Path) -> None:
        picture(folder / "p" / "a.png")
        line = {"image": "p/a.png", "boxes": [[1, 2, 30.5, 20]], "points": [[3, 4], [5.5, 6]]}
        (folder / "boxes.jsonl").write_text(json.dumps(line) + "\n")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = folder / "boxes.jsonl"
        path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng) + b"\n")
        read_prompts(path, find_pictures([folder / "p"]).pictures)


class Judgements:
    """The samples of an evaluation that another program has touched."""

    names = ("samples.jsonl",)

    def prepare(self, folder: Path) -> None:
        line = {"key": "1", "image": "a.png", "outcomes": {"RES": [3, 4], "right": True, "error": 0.5}, "answer": "A."}
        (folder / "samples.jsonl").write_text(json.dumps(line) + "\n")

    def attempt(self, folder: Path, rng: random.Random) -> None:
        path = folder / "samples.jsonl"
        path.write_bytes(mutations.json_from(json.loads(path.read_bytes()), rng) + b"\n")
        load_samples(folder)


class Bytes:
    """The content of a picture that was given as bytes, or an array."""

    names = ("the image", "an image")

    def prepare(self, folder: Path) -> None:
        return

    def attempt(self, folder: Path, rng: random.Random) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (5, 4)).save(buffer, rng.choice(Pictures.kinds))
        source: Any = mutations.bytes_from(buffer.getvalue(), rng)
        if rng.random() < 0.3:
            shape = tuple(rng.choice((0, 1, 3, 4, 20)) for _ in range(rng.randrange(5)))
            source = np.zeros(shape, rng.choice(("uint8", "uint16", "bool", "float32", "int64", "object", "<U3")))
        if rng.random() < 0.1:
            source = rng.choice([value for value in mutations.ODD_VALUES if not isinstance(value, str)])
        load_working_image(source)
