"""The rule that every input is held to, and the process that holds it."""

from __future__ import annotations

import faulthandler
import multiprocessing
import random
import resource
import shutil
import signal
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

import perceptio

SECONDS = 20  # that one input may take
MEMORY = 2_000  # MB that the process may take, libraries and model included
LONGEST = 12_000  # characters of a refusal, which may repeat an odd value twice, never a whole file
_PACKAGE = str(Path(perceptio.__file__).parent)
_REFUSED = "refused"


class Family(Protocol):
    """One kind of input."""

    names: tuple[
        str, ...
    ]  # of which a refusal must give one: the file's, or the argument's; none: of the family's calls

    def prepare(self, folder: Path) -> None:
        """Make the good input."""
        ...

    def attempt(self, folder: Path, rng: random.Random) -> None:
        """Make an odd input, give it to the package, and check that what comes of it is whole."""
        ...


@dataclass
class Outcome:
    """What a family's inputs came to."""

    counts: Counter[str] = field(default_factory=Counter)  # "answered", "refused"
    broken: list[str] = field(default_factory=list)  # what broke the rule
    memory: int = 0  # MB, the most that the process took


class _HangError(BaseException):
    """Past any `except Exception`."""


def hold(family: Family, folder: Path, seed: int, count: int) -> Outcome:
    """Give `count` inputs to the package in a process of their own; a crash or a hang of it is one broken input."""
    outcome, begin = Outcome(), 0
    while begin < count:
        done, part = _run(family, folder, seed, begin, count)
        outcome.counts += part.counts
        outcome.broken += part.broken
        outcome.memory = max(outcome.memory, part.memory)
        begin += done
    if outcome.memory > MEMORY:
        outcome.broken.append(f"the process took {outcome.memory} MB")
    return outcome


def _run(family: Family, folder: Path, seed: int, begin: int, count: int) -> tuple[int, Outcome]:
    """The inputs from `begin` on, as far as the process gets."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_attempts, args=(family, folder, seed, begin, count, sender))
    process.start()
    sender.close()
    outcome, done = Outcome(), 0
    while True:
        if not receiver.poll(3 * SECONDS):
            process.kill()
            outcome.broken.append(f"input {begin + done} hangs, and cannot be interrupted")
            done += 1
            break
        try:
            kind, text, memory = receiver.recv()
        except EOFError:
            process.join()
            if begin + done < count:
                outcome.broken.append(f"input {begin + done} ends the process with {process.exitcode}")
                done += 1
            break
        done += 1
        outcome.memory = max(outcome.memory, memory)
        if kind == "broken":
            outcome.broken.append(f"input {begin + done - 1}: {text}")
        else:
            outcome.counts[kind] += 1
    process.join()
    return done, outcome


def _attempts(family: Family, folder: Path, seed: int, begin: int, count: int, sender) -> None:
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _interrupt)
    good = folder / "good"
    if not good.is_dir():
        good.mkdir()
        family.prepare(good)
    for number in range(begin, count):
        kind, text = _attempt(family, good, folder / "odd", random.Random(f"{seed}-{number}"))
        sender.send((kind, text, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    sender.close()


def _attempt(family: Family, good: Path, odd: Path, rng: random.Random) -> tuple[str, str]:
    shutil.rmtree(odd, ignore_errors=True)
    shutil.copytree(good, odd, symlinks=True)
    signal.alarm(SECONDS)
    try:
        family.attempt(odd, rng)
    except _HangError:
        return "broken", f"takes more than {SECONDS} s"
    except AssertionError:
        return "broken", traceback.format_exc()
    except Exception as error:
        wrong = _wrong(error, family.names)
        if wrong:
            return "broken", f"{wrong}\n{''.join(traceback.format_exception(error))}"
        return _left(odd) or (_REFUSED, str(error))
    finally:
        signal.alarm(0)
    return _left(odd) or ("answered", "")


def _left(odd: Path) -> tuple[str, str] | None:
    parts = [path.name for path in odd.rglob("*.part")]
    return ("broken", f"half-written: {parts[0]}") if parts else None


def _wrong(error: Exception, names: tuple[str, ...]) -> str:
    """What is wrong with a refusal: it must be ours, for a user's mistake, one sentence, and name what was given."""
    frames = traceback.extract_tb(error.__traceback__)
    if not isinstance(error, (ValueError, TypeError, OSError)):
        return f"a {type(error).__name__} is no refusal"
    if not frames[-1].filename.startswith(_PACKAGE):
        return f"raised in the depths: {frames[-1].filename}:{frames[-1].lineno}"
    message = str(error)
    if not message or "\n" in message:
        return "not one sentence"
    if len(message) > LONGEST:
        return "too long to be read"
    if names and not any(name in message for name in names):
        return f"names none of {', '.join(names)}"
    return ""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise _HangError
