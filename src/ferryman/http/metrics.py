"""Figures in Prometheus' text format, read from the store when they are asked for."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ferryman.domain.states import JobState
from ferryman.http.service import Service
from ferryman.http.standing import Status


class _Figures(Collector):
    def __init__(self, status: Status, service: Service) -> None:
        self._status = status
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        yield from self._queues()
        yield from self._workers()
        yield from self._streams()

    def _queues(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "ferryman_jobs", "Jobs in the store, by queue and state.", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "ferryman_queue_oldest_seconds",
            "How long the oldest queued job has waited.",
            labels=["queue"],
        )
        paused = GaugeMetricFamily(
            "ferryman_queue_paused", "1 while a queue is paused.", labels=["queue"]
        )
        for info in self._status.queues:
            for state in JobState:
                jobs.add_metric([info.name, state.value], info.count(state))
            oldest.add_metric([info.name], info.oldest_age or 0.0)
            paused.add_metric([info.name], info.paused)
        yield from (jobs, oldest, paused)

    def _workers(self) -> Iterator[Metric]:
        sums = self._status.workers
        for name, told, value in (
            ("ferryman_workers", "Live worker processes.", sums.live),
            ("ferryman_workers_lost", "Worker processes whose lease is over.", sums.lost),
            ("ferryman_slots", "Jobs that live workers can run at a time.", sums.slots),
            ("ferryman_slots_taken", "Jobs that live workers run.", sums.running),
            (
                "ferryman_degraded",
                "1 while this service or a worker does without the lane.",
                self._status.degraded,
            ),
        ):
            yield GaugeMetricFamily(name, told, value=value)

    def _streams(self) -> Iterator[Metric]:
        hub = self._service.hub
        yield GaugeMetricFamily(
            "ferryman_listeners", "Open event streams of this process.", value=hub.listeners
        )
        yield CounterMetricFamily(
            "ferryman_slow_listeners", "Streams that were cut: they read too slowly.", value=hub.cut
        )


def render(status: Status, service: Service) -> bytes:
    """The figures of a status, and of this process's streams."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(status, service))
    return generate_latest(registry)
