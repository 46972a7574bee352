"""How large the numbers of a labelling job may be: slips of the pen must not take a machine's memory."""

from __future__ import annotations

SHARD_SIZE = 100_000  # pictures whose labels are held in memory until they are written
BATCH_SIZE = 4096
WORKERS = 1024
PARTS = 1_000_000


def check_number(name: str, value: int, most: int) -> None:
    """Refuse what is not a whole number from 1 to `most`.

    Raises:
        TypeError: if it is not a whole number.
        ValueError: if it is out of range.
    """
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    if not 1 <= value <= most:
        raise ValueError(f"{name} must be from 1 to {most:,}, not {value:,}")
