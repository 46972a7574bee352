"""Workers on many machines: the same worker as an actor of Ray Data.

All machines must see the pictures, the networks and the folder of shards under the same paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perceptio.data.errors import DataError
from perceptio.labeling.work import Work, Worker


class _ShardMaker:
    """What an actor runs; Ray calls it with the numbers of shards."""

    def __init__(self, work: Work[Any, Any]) -> None:
        self.worker = Worker(work)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make the shard of a batch of one; what a user can mend comes back as text, since Ray drops its type."""
        failure = ""
        try:
            self.worker.take(int(batch["shard"][0]))
        except (ValueError, OSError) as error:
            failure = str(error)
        return {"failure": np.array([failure])}


def run_on_ray(
    work: Work[Any, Any], shards: Sequence[int], count: int, address: str, on_shard: Callable[[], object]
) -> None:
    """Make shards on a Ray cluster.

    Args:
        work: to do.
        shards: that are not finished.
        count: actors; each takes one processor core, and one GPU where the device is CUDA.
        address: of the cluster; "auto" for the one that this machine belongs to, "local" for a new one on it.
        on_shard: called after each shard.

    Raises:
        ConnectionError: if there is no such cluster.
        DataError: if a network cannot be loaded, or the folder cannot be written.
    """
    import ray

    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        numbers = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        made = numbers.map_batches(
            _ShardMaker,
            fn_constructor_args=(work,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=count),
            num_cpus=1,
            num_gpus=1 if work.device.startswith("cuda") else 0,
        )
        for row in made.iter_rows():
            if row["failure"]:
                raise DataError(row["failure"])
            on_shard()
    finally:
        if started:
            ray.shutdown()
