"""What perception costs beside the answer: ways to find depth codes, batches, sessions, and the algorithm of peers.

    python benchmarks/decoding.py                     # nano, one thread, about 15 minutes
    python benchmarks/decoding.py --windows           # how much of a span one call should read
    python benchmarks/decoding.py --model MODEL --device cuda

Everything is measured in one process, the ways in turn in every repeat; times are medians, and what counts are their
ratios. Questions are those of `perceptio eval scenes`, on freshly rendered test scenes. Peers: see `_peers.py`.
Writes decoding.json, decoding.md and decoding.png into a folder.
"""

from __future__ import annotations

import argparse
import json
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
from perceptio.files import write_files
from perceptio.images import load_image
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
    batch: int
    questions: int
    calls: float = 0.0  # of the language model, a batch
    tokens: float = 0.0  # written, a question
    seconds: list[float] = field(default_factory=list)  # a question, one entry a repeat
    note: str = ""

    @property
    def median(self) -> float:
        """Seconds a question."""
        return statistics.median(self.seconds)


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


def measure(
    model: Perceptio, cases: Sequence[tuple[Measured, Callable[[], int]]], repeats: int, title: str
) -> list[Measured]:
    """Run each case in turn, `repeats` times after one to warm up.

    Args:
        model: whose calls are counted.
        cases: where to write times, and what to run; it gives the number of tokens written.
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
            found.calls = len(calls) / max(found.questions // found.batch, 1)
            found.tokens = written / found.questions
    return [found for found, _ in cases]


def written(answers: Sequence[Answer]) -> int:
    """Tokens of answers."""
    return sum(answer.trace.tokens for answer in answers)


def ways(model: Perceptio, questions: Sequence[Question], batches: Sequence[int], repeats: int) -> list[Measured]:
    """Each way to answer, in batches of each size."""
    found = []
    for batch in batches:
        asked = list(questions[: max(batch, min(16, len(questions)))])
        cases = []
        for name, how in WAYS.items():
            if name == "parallel" and model.model.depth_query is None:
                continue

            def run(how: dict[str, Any] = how, batch: int = batch, asked: list[Question] = asked) -> int:
                images, prompts = [each.image for each in asked], [each.prompt for each in asked]
                return written(model.ask_batch(images, prompts, batch_size=batch, **how))

            cases.append((Measured("ways", name, batch, len(asked)), run))
        found += measure(model, cases, repeats, f"batches of {batch}")
    return found


def session(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """Questions about one picture: ten alone, in a session, together; and how time grows with their number."""
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

    cases = [
        (Measured("session", "alone, sequential", 1, TEN), lambda: alone(TEN, "sequential")),
        (Measured("session", "alone", 1, TEN), lambda: alone(TEN, "exact")),
        (Measured("session", "one by one", 1, TEN), lambda: opened(TEN)),
        (Measured("session", "together", TEN, TEN), lambda: together(TEN)),
        (Measured("session", "one by one, answer only", 1, TEN), lambda: opened(TEN, OFF)),
        (Measured("session", "together, answer only", TEN, TEN), lambda: together(TEN, OFF)),
    ]
    for count in (1, 2, 5, 10, 20):
        if count <= len(prompts):
            cases.append((Measured("questions", str(count), count, count), partial(together, count)))
    return measure(model, cases, repeats, "one picture")


def objects(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """How time grows with the number of objects that are segmented."""
    by_count: dict[int, Question] = {}
    for each in questions:
        found = model.ask(each.image, each.prompt, seg=ON, depth=OFF)
        by_count.setdefault(found.trace.raw.count("[SEG]"), each)
    cases = []
    for count, each in sorted(by_count.items()):

        def run(each: Question = each) -> int:
            return written([model.ask(each.image, each.prompt, seg=ON, depth=OFF)])

        cases.append((Measured("objects", str(count), 1, 1), run))
    return measure(model, cases, repeats, "objects")


def peers(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """The algorithm of peers against ours, on a model that both can decode; the tokens must be the same."""
    both = plain(model)
    full: dict[str, Any] = {"seg": ON, "depth": ON, "soft_depth": False}
    some = list(questions[:16])
    image, prompts = some[0].image, [each.prompt for each in questions[:TEN]]
    held = 0
    for each in some[:4]:
        theirs = peer_answer(both, each.image, each.prompt, ON, ON)
        ours = both.ask(each.image, each.prompt, **full)
        assert both.processor.text(theirs.ids) == ours.trace.raw, "both algorithms must write the same tokens"
        held = max(held, theirs.state_bytes)

    def theirs_of(asked: Sequence[Question]) -> int:
        return sum(len(peer_answer(both, each.image, each.prompt, ON, ON).ids) for each in asked)

    def ours_alone() -> int:
        return written([both.ask(each.image, each.prompt, **full) for each in some])

    def ours_together() -> int:
        return written(both.ask_batch([each.image for each in some], [each.prompt for each in some], **full))

    def ours_opened() -> int:
        with both.open(image) as picture:
            return written(picture.ask_batch(prompts, **full))

    note = f"up to {held / 1e6:.1f} MB of hidden states a question"
    ten = [Question(image, prompt) for prompt in prompts]
    cases = [
        (Measured("peers", "theirs", 1, len(some), note=note), lambda: theirs_of(some)),
        (Measured("peers", "ours", 1, len(some)), ours_alone),
        (Measured("peers", "ours, together", len(some), len(some)), ours_together),
        (Measured("peers", "theirs, one picture", 1, TEN), lambda: theirs_of(ten)),
        (Measured("peers", "ours, one picture", TEN, TEN), ours_opened),
    ]
    return measure(both, cases, repeats, "peers")


def windows(model: Perceptio, questions: Sequence[Question], repeats: int) -> list[Measured]:
    """Exact decoding with windows of several lengths."""
    found = []
    kind = model.model.device.type
    kept = depth_span.WINDOWS.get(kind)
    length = model.model.config.vocabulary.tokens_per_map + 2
    for batch in (1, 4, 16):
        asked = list(questions[:16])
        images, cases = [each.image for each in asked], []
        for window in sorted({8, 16, 24, 32, 48, 64, length}):

            def run(window: int = window, batch: int = batch, images: list[Image.Image] = images) -> int:
                depth_span.WINDOWS[kind] = Windows(window, window, window)
                prompts = ["Show the depth map."] * len(images)
                return written(model.ask_batch(images, prompts, seg=OFF, depth=ON, batch_size=batch))

            cases.append((Measured("windows", str(window), batch, len(asked)), run))
        found += measure(model, cases, repeats, f"windows, batches of {batch}")
    depth_span.WINDOWS[kind] = WIDE if kept is None else kept
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
    """Markdown: each way, and how many times as long as the first of its section and batch it takes."""
    lines = ["| section | way | batch | ms a question | times the first | calls a batch | tokens a question |",
             "|---|---|---:|---:|---:|---:|---:|"]  # fmt: skip
    first: dict[tuple[str, int], Measured] = {}
    for each in found:
        base = first.setdefault((each.section, each.batch if each.section in ("ways", "windows") else 0), each)
        ratios = [one / other for one, other in zip(each.seconds, base.seconds, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(
            f"| {each.section} | {each.name} | {each.batch} | {each.median * 1e3:.0f} | {spread} | {each.calls:.1f} | "
            f"{each.tokens:.0f} |"
        )
    return "\n".join(lines) + "\n"


def plot(found: Sequence[Measured], path: Path) -> None:
    """Milliseconds a question of each way, by batch."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = [each for each in found if each.section in ("ways", "session", "peers")]
    figure, axis = pyplot.subplots(figsize=(8, 0.3 * len(shown) + 1))
    labels = [f"{each.name}, batch {each.batch}" if each.section == "ways" else each.name for each in shown]
    colours = {"ways": "tab:blue", "session": "tab:green", "peers": "tab:orange"}
    places = range(len(shown))
    axis.barh(places, [each.median * 1e3 for each in shown], color=[colours[each.section] for each in shown])
    axis.set_yticks(places, labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("ms a question")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


@reporting()
def main() -> None:
    """Measure, print the table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--windows", action="store_true", help="only sweep how much of a span one call reads")
    parser.add_argument("--out", type=Path, default=Path("out/decoding"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quiet()
    model = Perceptio.from_pretrained(options.model, device=options.device)
    mixed, about_one = scenes_questions(model, max(16, *options.batches))
    if options.windows:
        found = windows(model, mixed, options.repeats)
    else:
        found = [
            *ways(model, mixed, options.batches, options.repeats),
            *session(model, about_one, options.repeats),
            *objects(model, about_one, options.repeats),
            *peers(model, mixed, options.repeats),
        ]
    text = table(found)
    print(text)
    settings = {
        "date": datetime.now(UTC).date().isoformat(),
        "model": options.model,
        "device": options.device if options.device == "cpu" else torch.cuda.get_device_name(),
        "processor": platform.processor() or platform.machine(),
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
