"""Serves what a benchmark measures as Prometheus reads it, on this machine alone."""

from __future__ import annotations

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.results import Window
from bulkhaul.model.errors import OtherError


class Metrics:
    """The metrics of one benchmark, served until the process ends."""

    def __init__(self, port: int) -> None:
        """Listen on 127.0.0.1.

        Raises:
            UsageError: prometheus-client is not installed.
            OtherError: the port is taken.
        """
        require("prometheus_client")
        from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

        registry = CollectorRegistry()
        self._requests = Counter("bulkhaul_bench_requests", "Requests done.", ["operation"], registry=registry)
        self._bytes = Counter("bulkhaul_bench_bytes", "Bytes of bodies moved.", ["operation"], registry=registry)
        self._failed = Counter("bulkhaul_bench_failed", "Requests failed.", registry=registry)
        quantile = "Latency of the requests of the last second."
        self._latency = Gauge("bulkhaul_bench_latency_seconds", quantile, ["quantile"], registry=registry)
        self._in_flight = Gauge("bulkhaul_bench_in_flight", "Requests under way.", registry=registry)
        self._waiting = Gauge("bulkhaul_bench_waiting", "Requests that are due and wait.", registry=registry)
        self._cpu = Gauge("bulkhaul_bench_worker_cpu", "CPU seconds a second of all workers.", registry=registry)
        self._run = Gauge("bulkhaul_bench_run", "Number of the run.", registry=registry)
        try:
            start_http_server(port, addr="127.0.0.1", registry=registry)
        except OSError as error:
            text = f"metrics cannot be served on 127.0.0.1:{port}; choose another port with --metrics"
            raise OtherError(text, cause=str(error)) from error

    def window(self, number: int, window: Window) -> None:
        """Take a second of a run."""
        for operation, count in window.done.items():
            self._requests.labels(operation).inc(count)
        for operation, moved_bytes in window.moved_bytes.items():
            self._bytes.labels(operation).inc(moved_bytes)
        self._failed.inc(window.failed)
        self._latency.labels("0.5").set(window.p50_ms / 1000)
        self._latency.labels("0.99").set(window.p99_ms / 1000)
        self._in_flight.set(window.in_flight)
        self._waiting.set(window.waiting)
        self._cpu.set(window.cpu)
        self._run.set(number)
