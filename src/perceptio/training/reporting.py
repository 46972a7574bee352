"""Where losses are reported to beside TensorBoard: integrations of transformers, by their name in `report_to`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

Reporter: TypeAlias = Literal["none", "wandb"]


def check_reporter(name: Reporter) -> None:
    """Refuse a service whose package is missing, before the work that is to be reported.

    Raises:
        ValueError: if it is; with what to install.
    """
    from transformers.integrations import is_wandb_available

    if name == "wandb" and not is_wandb_available():
        raise ValueError("report_to: wandb needs its package: `pip install wandb`, or take report_to out of the recipe")


@contextmanager
def reporting(name: Reporter) -> Iterator[None]:
    """Turn a service's refusal into one sentence.

    Raises:
        ValueError: if it refuses the run.
    """
    if name == "none":
        yield
        return
    from wandb.errors import Error

    try:
        yield
    except Error as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"Weights & Biases does not take the run ({reason}): `wandb login` first, or set WANDB_MODE=offline"
        ) from error
