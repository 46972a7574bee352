"""Why an engine gives no answer, other than that a query is wrong."""

from __future__ import annotations


class QueueFullError(RuntimeError):
    """As many queries wait as may wait.

    Args:
        waiting: that many.
        retry_after_s: when there will probably be room, whole seconds.
    """

    def __init__(self, waiting: int, retry_after_s: int) -> None:
        super().__init__(f"{waiting} questions are waiting already: ask again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ClosingError(RuntimeError):
    """The engine takes no more queries, or had to give this one up, because it is being closed."""


class DeadlineError(TimeoutError):
    """The answer was not there in time."""


class EngineError(RuntimeError):
    """The model failed. The cause, which is not for strangers, is chained."""


class UnknownPictureError(ValueError):
    """No picture of this id is kept, or no longer."""
