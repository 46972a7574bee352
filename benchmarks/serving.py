"""A server under load, and what it loses to the engine's own batches.

    python benchmarks/serving.py                                # nano, 32 clients, about 5 minutes
    python benchmarks/serving.py --clients 8 --seconds 20 --threads 1

It starts `perceptio serve` in a process of its own, on this machine's loopback address and on no other. Clients ask one
question after the other about rendered scenes: OpenAI's chat, whole and as a stream, and /v1/perceive. There are more
pictures than the server keeps, so each is perceived for each question. At the end the server gets SIGTERM while all
clients are still asking: what it has accepted it must answer.

Before and after that, on the otherwise idle machine, `Perceptio.ask_batch` answers the same questions in batches of 16
with as many threads: its questions a second are what the server's are compared with. Writes serving.json and
serving.md into a folder.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx2
import psutil
import torch
from decoding import positive, scenes_questions
from tqdm import tqdm

from perceptio import Perceptio
from perceptio.cli.errors import reporting
from perceptio.cli.options import quiet
from perceptio.files import check_writable_folder, write_files

BATCH = 16
PICTURES = 96  # the server keeps 64
SHOWN = 10  # seconds at both ends over which memory is compared
KINDS: dict[str, dict[str, Any]] = {
    "chat": {"masks": "auto", "depth": "auto"},
    "stream": {"masks": "on", "depth": "on"},
    "perceive": {"masks": "on", "depth": "auto"},
}
MIX = ("chat", "stream", "chat", "perceive")
CHAT, PERCEIVE = "/v1/chat/completions", "/v1/perceive"


@dataclass(frozen=True)
class Request:
    """One question about one picture, as the server gets it and as the engine does."""

    kind: str
    file: Path
    prompt: str
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """On the server."""
        return PERCEIVE if self.kind == "perceive" else CHAT


@dataclass(frozen=True)
class Reply:
    """What became of a request."""

    kind: str
    status: int  # 0: lost
    done: float  # seconds since the load began
    seconds: float  # from its first to its last byte
    wrong: str = ""  # what is wrong with it


@dataclass(frozen=True)
class Batches:
    """The engine's own batches."""

    rate: float  # questions a second
    cores: float  # busy, on average


@dataclass
class Load:
    """What the clients and the server did under load, the warm-up apart."""

    clients: int
    seconds: float
    statuses: dict[str, int]  # of all requests, from the first to the last
    lost: list[str]  # requests without their whole answer
    answered: int
    rate: float  # questions a second
    p50_ms: dict[str, float]
    p95_ms: dict[str, float]
    server_cores: float  # busy, on average
    client_cores: float
    memory_mb: tuple[float, float]  # of the server, at the beginning and the end
    peak_mb: float
    answered_after_sigterm: int
    exit_code: int

    @property
    def growth(self) -> float:
        """Of the server's memory."""
        return self.memory_mb[1] / self.memory_mb[0] - 1


def requests(model: Perceptio, folder: Path) -> list[Request]:
    """One about each picture, the kinds in turn."""
    made = []
    for number, each in enumerate(scenes_questions(model, PICTURES)[0]):
        kind, file = MIX[number % len(MIX)], folder / f"{number}.png"
        each.image.save(file)
        url = f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
        if kind == "perceive":
            body = {"image": url, "prompt": each.prompt, **KINDS[kind]}
        else:
            content = [{"type": "text", "text": each.prompt}, {"type": "image_url", "image_url": {"url": url}}]
            messages = [{"role": "user", "content": content}]
            body = {"model": "nano", "messages": messages, "stream": kind == "stream", "perception": KINDS[kind]}
        made.append(Request(kind, file, each.prompt, json.dumps(body).encode()))
    return made


def own_batches(model: Perceptio, asked: Sequence[Request], seconds: float) -> Batches:
    """Measure the engine without a server, after one batch to warm up."""
    order = (asked[number % len(asked)] for number in count())
    answered, begin, spent = 0, 0.0, 0.0
    while not begin or time.perf_counter() - begin < seconds:
        batch = list(islice(order, BATCH))
        switches = [KINDS[each.kind] for each in batch]
        model.ask_batch(
            [each.file for each in batch],
            [each.prompt for each in batch],
            seg=[each["masks"] for each in switches],
            depth=[each["depth"] for each in switches],
            batch_size=BATCH,
        )
        if begin:
            answered += BATCH
        else:
            begin, spent = time.perf_counter(), time.process_time()
    measured = time.perf_counter() - begin
    return Batches(answered / measured, (time.process_time() - spent) / measured)


@contextmanager
def server(model: str, threads: int, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`perceptio serve` on a free port of the loopback address, once it is ready; it is killed if it does not end."""
    command = [sys.executable, "-c", "from perceptio.cli import main; main()", "serve", "--model", model, "--port", "0"]
    variables = {name: value for name, value in os.environ.items() if name != "PERCEPTIO_API_KEY"}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, env=variables | {"OMP_NUM_THREADS": str(threads)})
    try:
        while not (found := re.search(r" at (http://127\.0\.0\.1:\d+)", log.read_text())):
            if process.poll() is not None:
                raise ValueError(f"the server has ended: {log.read_text().strip()[-500:]}")
            time.sleep(0.1)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


async def ask(client: httpx2.AsyncClient, request: Request, began: float) -> Reply:
    """Send one request, read its reply to the end, and look whether it is whole."""
    start = time.perf_counter()
    wrong, status = "", 0
    try:
        reply = await client.post(request.path, content=request.body, headers={"Content-Type": "application/json"})
        status = reply.status_code
        if status == 200:
            wrong = missing(request, reply.content)
        elif status == 429:
            await asyncio.sleep(min(float(reply.headers["Retry-After"]), 1.0))
        else:
            wrong = reply.text[:300]
    except httpx2.HTTPError as error:
        wrong = repr(error)
    end = time.perf_counter()
    return Reply(request.kind, status, end - began, end - start, wrong)


def missing(request: Request, content: bytes) -> str:
    """What a reply with status 200 lacks."""
    if request.kind == "stream":
        whole = content.endswith(b"data: [DONE]\n\n") or content.endswith(b"data: [DONE]\r\n\r\n")
        return (
            "" if whole and b'"error"' not in content and b'"finish_reason":"' in content else content[-300:].decode()
        )
    reply = json.loads(content)
    text = reply["text"] if request.kind == "perceive" else reply["choices"][0]["message"]["content"]
    return "" if text else "no text"


async def load(
    process: subprocess.Popen[bytes], url: str, asked: Sequence[Request], clients: int, warmup: float, seconds: float
) -> Load:
    """Let clients ask, and end the server while they do."""
    began = time.perf_counter()
    replies: list[Reply] = []
    numbers = count()
    closing = False

    async def one() -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=90, trust_env=False) as client:
            while True:
                reply = await ask(client, asked[next(numbers) % len(asked)], began)
                if closing and "ConnectError" in reply.wrong:  # nobody listens: it was not accepted
                    return
                replies.append(reply)
                if closing and reply.status == 0:
                    return

    watched = psutil.Process(process.pid)
    tasks = [asyncio.create_task(one()) for _ in range(clients)]
    await asyncio.sleep(warmup)
    memory: list[float] = []
    spent = watched.cpu_times(), time.process_time()
    first = time.perf_counter() - began
    with tqdm(total=round(seconds), desc=f"{clients} clients", unit="s") as bar:
        while time.perf_counter() - began < first + seconds and process.poll() is None:
            memory.append(watched.memory_info().rss / 1e6)
            await asyncio.sleep(1)
            bar.update()
    last = time.perf_counter() - began
    measured = last - first
    now = watched.cpu_times(), time.process_time()
    closing = True
    process.send_signal(signal.SIGTERM)
    await asyncio.gather(*tasks)
    exit_code = await asyncio.to_thread(process.wait, 60)
    inside = [reply for reply in replies if first < reply.done <= last and reply.status == 200 and not reply.wrong]
    times = {kind: [1e3 * each.seconds for each in inside if kind in (each.kind, "all")] for kind in (*KINDS, "all")}
    times = {kind: found for kind, found in times.items() if len(found) > 1}
    return Load(
        clients=clients,
        seconds=round(measured, 1),
        statuses={str(status): number for status, number in Counter(each.status for each in replies).items()},
        lost=[f"{each.done - last:+.1f} s from SIGTERM: {each.wrong}" for each in replies if each.wrong],
        answered=len(inside),
        rate=len(inside) / measured,
        p50_ms={kind: round(statistics.median(found)) for kind, found in times.items()},
        p95_ms={kind: round(statistics.quantiles(found, n=20)[-1]) for kind, found in times.items()},
        server_cores=(sum(now[0][:2]) - sum(spent[0][:2])) / measured,
        client_cores=(now[1] - spent[1]) / measured,
        memory_mb=(statistics.median(memory[:SHOWN]), statistics.median(memory[-SHOWN:])),
        peak_mb=max(memory),
        answered_after_sigterm=sum(each.done > last and each.status == 200 and not each.wrong for each in replies),
        exit_code=exit_code,
    )


def table(found: Load, engine: Sequence[Batches]) -> str:
    """Markdown."""
    statuses = ", ".join(f"{number} of status {status}" for status, number in sorted(found.statuses.items()))
    rates, cores = (statistics.mean(values) for values in zip(*map(astuple, engine), strict=True))
    before, after = (f"{each.rate:.1f}" for each in engine)
    rows = {
        "load": f"{found.clients} clients, {found.seconds:.0f} s after the warm-up",
        "requests": f"{statuses}; {len(found.lost)} lost",
        "questions a second": f"{found.rate:.1f}",
        "engine's own batches": f"{before} before and {after} after: the server reaches {found.rate / rates:.0%}",
        "cores busy": f"server {found.server_cores:.2f}, clients {found.client_cores:.2f}, own batches {cores:.2f}",
        "questions a second, a core": f"server {found.rate / found.server_cores:.2f}, own batches {rates / cores:.2f}",
        "memory of the server": f"{found.memory_mb[0]:.0f} MB, at the end {found.memory_mb[1]:.0f} MB "
        f"({found.growth:+.1%}); peak {found.peak_mb:.0f} MB",
        "SIGTERM under load": f"{found.answered_after_sigterm} more answered, exit code {found.exit_code}",
    }
    lines = ["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    lines += ["", "| kind | p50, ms | p95, ms |", "|---|---:|---:|"]
    lines += [f"| {kind} | {found.p50_ms[kind]:.0f} | {found.p95_ms[kind]:.0f} |" for kind in found.p50_ms]
    return "\n".join(lines) + "\n"


@reporting()
def main() -> None:
    """Measure, print the table, write the files; the exit code says whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano", help="a name, a folder or a hub id")
    parser.add_argument("--clients", type=positive, default=32)
    parser.add_argument("--seconds", type=positive, default=120, help="of load, after the warm-up")
    parser.add_argument(
        "--warmup", type=positive, default=40, help="seconds of load before that, in which the pictures fill up"
    )
    parser.add_argument("--engine-seconds", type=positive, default=30, help="of the engine's own batches, twice")
    parser.add_argument("--threads", type=positive, default=2, help="of the server's engine, and of the batches")
    parser.add_argument("--out", type=Path, default=Path("out/serving"))
    options = parser.parse_args()
    if options.clients > 256 or options.seconds > 3600:
        raise ValueError("at most 256 clients and 3600 seconds: this is a test of one machine")
    check_writable_folder(options.out)
    torch.set_num_threads(options.threads)
    quiet()
    model = Perceptio.from_pretrained(options.model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        asked = requests(model, Path(folder))
        before = own_batches(model, asked, options.engine_seconds)
        with server(options.model, options.threads, Path(folder) / "log") as (process, url):
            found = asyncio.run(load(process, url, asked, options.clients, options.warmup, options.seconds))
        engine = before, own_batches(model, asked, options.engine_seconds)
    text = table(found, engine)
    print(text)
    settings = {
        "date": datetime.now(UTC).date().isoformat(),
        "model": options.model,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "torch": torch.__version__,
        "pictures": len(asked),
        "kinds": KINDS,
    }
    record = {
        "settings": settings,
        "own_batches": [asdict(each) for each in engine],
        "load": asdict(found) | {"growth": found.growth},
    }
    write_files(options.out, {"serving.json": json.dumps(record, indent=2).encode(), "serving.md": text.encode()})
    print(f"wrote {options.out}/")
    sys.exit(bool(found.lost or found.exit_code or set(found.statuses) - {"200", "429"}))


if __name__ == "__main__":
    main()
