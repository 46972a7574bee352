"""What perception costs beside the answer: ways to find depth codes, batches, sessions, and the algorithm of peers.

    python benchmarks/decoding.py                     # nano, one thread, about 25 minutes
    python benchmarks/decoding.py --windows           # how much of a span one call should read
    python benchmarks/decoding.py --model MODEL --device cuda

Everything is measured in one process, the ways in turn in every repeat; times are medians, and what counts are their
ratios. Questions are those of `perceptio eval scenes`, on freshly rendered test scenes. Peers: see `_peers.py`.
Writes decoding.json, decoding.md and decoding.png into a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _peers import answer as peer_answer
from _peers import plain
from PIL import Image
from tqdm import tqdm

from perceptio import Perceptio, Switch
from perceptio.cli.errors import reporting
from perceptio.cli.options import quiet
from perceptio.decoding import depth_span
from perceptio.decoding.depth_span import WIDE, Windows
from perceptio.evaluation.scenes import ScenesBenchmark
from perceptio.files import check_writable_folder, write_files
from perceptio.images import load_image
from perceptio.model.parallel_depth import set_depth_decoding
from perceptio.results import Answer
from perceptio.scenes.render_job import render_split
from perceptio.tokens import DepthDecoding

ON, OFF = Switch.ON, Switch.OFF
WAYS: dict[str, dict[str, Any]] = {
    "answer only": {"seg": OFF, "depth": OFF},
    "masks only": {"seg": ON, "depth": OFF},
    "sequential": {"seg": ON, "depth": ON, "depth_decoding": "sequential"},
    "exact": {"seg": ON, "depth": ON, "depth_decoding": "exact"},
    "quick": {"seg": ON, "depth": ON, "depth_decoding": "quick"},
    "parallel": {"seg": ON, "depth": ON, "depth_decoding": "parallel"},
}
TEN = 10  # questions about one picture
PICTURES = 16  # asked about in each repeat, or as many as the batch
BY_BATCH = ("ways", "windows", "perception")  # sections where a way is compared with another of the same batch
COLOURS = {"ways": "tab:blue", "session": "tab:green", "perception": "tab:olive", "peers": "tab:orange",
           "windows": "tab:purple"}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One question about one picture."""

    image: Image.Image
    prompt: str


@dataclass
class Measured:
    """One way to answer."""

    section: str
    name: str
    batch: int  # questions decoded together
    questions: int  # in each repeat
    base: str  # the way of the same section, and batch, that it is compared with
    note: str = ""
    calls: float = 0.0  # of the language model, a batch
    tokens: float = 0.0  # written, a question
    seconds: list[float] = field(default_factory=list)  # a question, one entry a repeat

    @property
    def median(self) -> float:
        """Seconds a question."""
        return statistics.median(self.seconds)


Case = tuple[Measured, Callable[[], int]]  # where times are written, and what is run: it gives the tokens written


@contextmanager
def counted(model: Perceptio) -> Iterator[list[int]]:
    """Tokens a row of each call of the language model."""
    calls: list[int] = []
    hook = model.model.vlm.model.language_model.register_forward_pre_hook(
        lambda _module, _arguments, named: calls.append(named["inputs_embeds"].shape[1]), with_kwargs=True
    )
    try:
        yield calls
    finally:
        hook.remove()


def measure(model: Perceptio, cases: Sequence[Case], repeats: int, title: str) -> list[Measured]:
    """Run each case in turn, `repeats` times after one to warm up.

    Args:
        model: whose calls are counted.
        cases: to be run.
        repeats: of all cases.
        title: of the progress bar.
    """
    for repeat in tqdm(range(repeats + 1), desc=title, unit="repeat"):
        for found, run in cases:
            with counted(model) as calls:
                begin = time.perf_counter()
                written = run()
                if model.model.device.type == "cuda":
                    torch.cuda.synchronize()
                spent = time.perf_counter() - begin
            if repeat:
                found.seconds.append(spent / found.questions)
            found.calls = len(calls) / (found.questions / found.batch)
            found.tokens = written / found.questions
    return [found for found, _ in cases]


def written(answers: Sequence[Answer]) -> int:
    """Tokens of answers."""
    return sum(answer.trace.tokens for answer in answers)


def ways(model: Perceptio, questions: Sequence[Question], batches: Sequence[int], repeats: int) -> list[Measured]:
    """Each way to answer, in batches of each size; batch 1 by `ask`, which loads no picture ahead."""
    trained = model.model.depth_query is not None
    how_before = model.model.config.depth_decoding
    set_depth_decoding(model.model, "parallel")
    found = []
    for batch in batches:
        asked = questions[: max(batch, PICTURES // batch * batch)]
        cases = []
        for name, how in WAYS.items():
            note = "the query is not trained: its time, not its map" if name == "parallel" and not trained else ""
            base = "answer only"
            cases.append(
                (Measured("ways", name, batch, len(asked), base, note), partial(_in_batches, model, asked, batch, how))
            )
        found += measure(model, cases, repeats, f"batches of {batch}")
    set_depth_decoding(model.model, how_before)
    return found


def _in_batches(model: Perceptio, questions: Sequence[Question], batch: int, how: dict[str, Any]) -> int:
    if batch == 1:
        return written([model.ask(each.image, each.prompt, **how) for each in questions])
    count = 0
    for first in range(0, len(questions), batch):
        part = questions[first : first + batch]
        count += written(model.ask_batch([each.image for each in part], [each.prompt for each in part], **how))
    return count


def session(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """Questions about one picture: ten alone, in a session, together; and how time grows with their number.

    The questions are those of several scenes, so some do not fit the picture.
    """
    image, prompts = questions[0].image, [each.prompt for each in questions]
    full: dict[str, Any] = {"seg": ON, "depth": ON}

    def alone(count: int, how: DepthDecoding) -> int:
        return written([model.ask(image, prompt, depth_decoding=how, **full) for prompt in prompts[:count]])

    def opened(count: int, switch: Switch = ON) -> int:
        with model.open(image) as picture:
            return written([picture.ask(prompt, seg=switch, depth=switch) for prompt in prompts[:count]])

    def together(count: int, switch: Switch = ON) -> int:
        with model.open(image) as picture:
            return written(picture.ask_batch(prompts[:count], seg=switch, depth=switch))

    slow = "alone, sequential"
    cases: list[Case] = [
        (Measured("session", slow, 1, TEN, slow), partial(alone, TEN, "sequential")),
        (Measured("session", "alone", 1, TEN, slow), partial(alone, TEN, "exact")),
        (Measured("session", "one by one", 1, TEN, slow), partial(opened, TEN)),
        (Measured("session", "together", TEN, TEN, slow), partial(together, TEN)),
    ]
    for name, batch, run in (("one by one", 1, opened), ("together", TEN, together)):
        base = f"{name}, answer only"
        cases.append((Measured("perception", base, batch, TEN, base), partial(run, TEN, OFF)))
        cases.append((Measured("perception", name, batch, TEN, base), partial(run, TEN)))
    for count in (1, 2, 5, 10, 20):
        cases.append((Measured("questions", str(count), count, count, "1"), partial(together, count)))
    return measure(model, cases, repeats, "one picture")


def growth(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """How time grows with the tiles of a picture and with the objects that are segmented.

    Nano was not taught tiles: what it answers means nothing here. Questions with more objects have other words too.
    """
    cases: list[Case] = []
    processor, image = model.processor, questions[0].image
    side = image.width
    kept = processor.image_processor.crop_to_patches, processor.image_processor.max_patches
    short: dict[str, Any] = {"seg": ON, "depth": ON, "max_new_tokens": 130}

    def tiled(tiles: int) -> int:
        processor.image_processor.crop_to_patches, processor.image_processor.max_patches = tiles > 1, tiles
        count = written([model.ask(image.resize((side * tiles, side)), "Show the depth map.", **short)])
        processor.image_processor.crop_to_patches, processor.image_processor.max_patches = kept
        return count

    for tiles in (1, 2, 3):
        total = model.model.config.vlm.image_seq_length * (tiles + (tiles > 1))
        cases.append((Measured("image tokens", str(total), 1, 1, str(total)), partial(tiled, tiles)))
    first = cases[0][0].name
    for found, _ in cases:
        found.base = first
    by_count: dict[int, Question] = {}
    for each in questions:
        answer = model.ask(each.image, each.prompt, seg=ON, depth=OFF)
        by_count.setdefault(answer.trace.raw.count("[SEG]"), each)
    fewest = str(min(by_count))
    for count, each in sorted(by_count.items()):
        run = partial(_in_batches, model, [each], 1, WAYS["masks only"])
        cases.append((Measured("objects", str(count), 1, 1, fewest), run))
    return measure(model, cases, repeats, "growth")


def peers(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """The algorithm of peers against ours, on a model that both can decode; the tokens must be the same."""
    both = plain(model)
    full: dict[str, Any] = {"seg": ON, "depth": ON, "soft_depth": False}
    some = questions[:PICTURES]
    ten = [Question(some[0].image, each.prompt) for each in questions[:TEN]]
    held = 0
    for each in [*some, *ten]:
        theirs = peer_answer(both, each.image, each.prompt, ON, ON)
        ours = both.ask(each.image, each.prompt, **full)
        assert both.processor.text(theirs.ids) == ours.trace.raw, "both algorithms must write the same tokens"
        held = max(held, theirs.state_bytes)

    def theirs_of(asked: Sequence[Question]) -> int:
        return sum(len(peer_answer(both, each.image, each.prompt, ON, ON).ids) for each in asked)

    def ours_opened() -> int:
        with both.open(ten[0].image) as picture:
            return written(picture.ask_batch([each.prompt for each in ten], **full))

    note = f"keeps up to {held / 1e6:.1f} MB of hidden states a question"
    many, one = "theirs", "theirs, one picture"
    cases: list[Case] = [
        (Measured("peers", many, 1, len(some), many, note), partial(theirs_of, some)),
        (Measured("peers", "ours", 1, len(some), many), partial(_in_batches, both, some, 1, full)),
        (Measured("peers", "ours", len(some), len(some), many), partial(_in_batches, both, some, len(some), full)),
        (Measured("peers", one, 1, TEN, one, note), partial(theirs_of, ten)),
        (Measured("peers", "ours, one picture", TEN, TEN, one), ours_opened),
    ]
    return measure(both, cases, repeats, "peers")


def windows(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """Exact decoding with windows of several lengths."""
    kind = model.model.device.type
    kept = depth_span.WINDOWS.get(kind, WIDE)
    length = model.model.config.vocabulary.tokens_per_map + 2
    asked = [Question(each.image, "Show the depth map.") for each in questions[:PICTURES]]

    def run(window: int, batch: int) -> int:
        depth_span.WINDOWS[kind] = Windows(window, window, window)
        try:
            return _in_batches(model, asked, batch, {"seg": OFF, "depth": ON})
        finally:
            depth_span.WINDOWS[kind] = kept

    found = []
    for batch in (1, 4, PICTURES):
        cases = [
            (Measured("windows", str(window), batch, len(asked), str(length)), partial(run, window, batch))
            for window in sorted({8, 16, 24, 32, 48, 64, length})
        ]
        found += measure(model, cases, repeats, f"windows, batches of {batch}")
    return found


def scenes_questions(model: Perceptio, scenes: int) -> tuple[list[Question], list[Question]]:
    """Questions of test scenes, one of each scene in turn; and all questions of one scene."""
    with tempfile.TemporaryDirectory() as folder:
        store = render_split(folder, "test", scenes)
        benchmark = ScenesBenchmark(model, store, limit=scenes)
        units = [
            [Question(load_image(ask.image), ask.prompt) for item in benchmark.items(unit) for ask in item.asks]
            for unit in range(scenes)
        ]
    mixed = [units[unit][(3 + 5 * unit) % len(units[unit])] for unit in range(scenes)]
    about_one = [Question(units[0][0].image, each.prompt) for unit in units[:2] for each in unit]
    return mixed, about_one


def table(found: Sequence[Measured]) -> str:
    """Markdown: each way, and its time over that of the way it is compared with, repeat by repeat."""
    bases = {(each.section, each.name, each.batch if each.section in BY_BATCH else 0): each for each in found[::-1]}
    lines = ["| section | way | batch | ms a question | ratio | to | calls a batch | tokens a question | note |",
             "|---|---|---:|---:|---:|---|---:|---:|---|"]  # fmt: skip
    for each in found:
        base = bases[each.section, each.base, each.batch if each.section in BY_BATCH else 0]
        ratios = [one / other for one, other in zip(each.seconds, base.seconds, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(
            f"| {each.section} | {each.name} | {each.batch} | {each.median * 1e3:.0f} | {spread} | {each.base} | "
            f"{each.calls:.1f} | {each.tokens:.0f} | {each.note} |"
        )
    return "\n".join(lines) + "\n"


def plot(found: Sequence[Measured], path: Path) -> None:
    """Milliseconds a question of each way, by batch."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = [each for each in found if each.section in COLOURS]
    figure, axis = pyplot.subplots(figsize=(8, 0.3 * len(shown) + 1))
    labels = [f"{each.section}: {each.name}, batch {each.batch}" for each in shown]
    places = range(len(shown))
    axis.barh(places, [each.median * 1e3 for each in shown], color=[COLOURS[each.section] for each in shown])
    axis.set_yticks(places, labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("ms a question")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


@reporting()
def main() -> None:
    """Measure, print the table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--batches", type=positive, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--windows", action="store_true", help="only sweep how much of a span one call reads")
    parser.add_argument("--out", type=Path, help="out/decoding, or out/decoding-windows, by default")
    options = parser.parse_args()
    options.out = options.out or Path("out/decoding-windows" if options.windows else "out/decoding")
    check_writable_folder(options.out)
    torch.set_num_threads(options.threads)
    quiet()
    model = Perceptio.from_pretrained(options.model, device=options.device)
    mixed, about_one = scenes_questions(model, max(PICTURES, *options.batches))
    if options.windows:
        found = windows(model, mixed, options.repeats)
    else:
        found = [
            *ways(model, mixed, options.batches, options.repeats),
            *session(model, about_one, options.repeats),
            *growth(model, about_one, options.repeats),
            *peers(model, mixed, options.repeats),
        ]
    text = table(found)
    print(text)
    settings = {
        "date": datetime.now(UTC).date().isoformat(),
        "model": options.model,
        "device": options.device if options.device == "cpu" else torch.cuda.get_device_name(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "torch": torch.__version__,
        "repeats": options.repeats,
    }
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "decoding.png"
        plot(found, picture)
        record = json.dumps({"settings": settings, "measured": [asdict(each) for each in found]}, indent=2)
        write_files(
            options.out,
            {"decoding.json": record.encode(), "decoding.md": text.encode(), "decoding.png": picture.read_bytes()},
        )
    print(f"wrote {options.out}/")


if __name__ == "__main__":
    main()
