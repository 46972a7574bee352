"""Counts for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from perceptio.serving.engine import Engine, Finished, Observer

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics(Observer):
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("perceptio_requests", "Requests.", ("method", "route", "status"), registry=registry)
        self._seconds = Histogram(
            "perceptio_request_duration_seconds",
            "From a request's head to the end of its reply.",
            ("route",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._batches = Histogram("perceptio_batch_size", "Queries in a batch.", registry=registry, buckets=_SIZES)
        self._refused = Counter("perceptio_refused", "Queries refused: the queue was full.", registry=registry)
        self._given_up = Counter(
            "perceptio_given_up", "Queries that ended without their answer.", ("reason",), registry=registry
        )
        self._tokens = Counter(
            "perceptio_tokens", "Tokens: read, and written as text or as masks and depth.", ("kind",), registry=registry
        )
        self._load = {
            name: Gauge(f"perceptio_{name}", text, registry=registry)
            for name, text in (
                ("queue_length", "Queries that wait."),
                ("running", "Queries that are being answered."),
                ("pictures", "Pictures that are kept."),
            )
        }

    def follow(self, engine: Engine) -> None:
        """Count what an engine does."""
        engine.observe(self)
        self._load["queue_length"].set_function(lambda: engine.workload().waiting)
        self._load["running"].set_function(lambda: engine.workload().running)
        self._load["pictures"].set_function(lambda: engine.workload().pictures)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, size: int) -> None:
        """As of an observer."""
        self._batches.observe(size)

    def finished(self, finished: Finished) -> None:
        """As of an observer."""
        usage = finished.usage
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("text").inc(usage.completion_tokens - usage.perception_tokens)
        self._tokens.labels("perception").inc(usage.perception_tokens)

    def refused(self) -> None:
        """As of an observer."""
        self._refused.inc()

    def given_up(self, reason: str) -> None:
        """As of an observer."""
        self._given_up.labels(reason).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
