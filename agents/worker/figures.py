"""The figures of a worker for Prometheus, read from its agents when it asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from faust.types import TP
from prometheus_client import Metric
from prometheus_client.core import SummaryMetricFamily

from agents.prometheus import Collect, Labels, family
from agents.worker.agent import Agent
from agents.worker.state import Held
from schemas.alert import AlertKind, Severity

_ALERT_LABELS = [
    (severity, kind) for severity in get_args(Severity) for kind in get_args(AlertKind)
]
"""Each has a value at all times: a sum over nothing would be no zero."""


class Progress:
    """The work of a monitor since its process began.

    Attributes
    ----------
    restoring_s
        Seconds that the latest assignment took to restore.
    saves, saving_s
        Rounds of saving that are over, and the seconds of all rounds.
    skipped
        Records of ``events`` passed over, since ingest has not written them, by topic.
    """

    def __init__(self) -> None:
        self.restoring_s = 0.0
        self.saves = 0
        self.saving_s = 0.0
        self.skipped: Counter[str] = Counter()
        self._pairs = 0
        self._pairs_before = 0
        self._pairs_restored = 0

    def assigned(self, restoring_s: float, pairs: int) -> None:
        """Begin to count from the pairs that the restored models had."""
        self.restoring_s = restoring_s
        self._pairs_before = self._pairs
        self._pairs_restored = pairs

    def saved(self, seconds: float, *, is_over: bool) -> None:
        """Note a slice of a round of saving."""
        self.saving_s += seconds
        self.saves += is_over

    def pairs(self, now: int) -> int:
        """Return the pairs joined by this process, of ``now`` in the models that it holds.

        It never falls: a model that is restored and applied again has fewer for a moment.
        """
        self._pairs = max(self._pairs, self._pairs_before + now - self._pairs_restored)
        return self._pairs


def worker_figures(agents: Sequence[Agent], now_s: Callable[[], float]) -> Collect:
    """Return what reads the figures of a worker's agents; ``now_s`` is the wall clock."""

    def collect() -> Iterable[Metric]:
        lags: dict[Labels, float] = {
            (tp.topic, str(tp.partition)): float(lag)
            for agent in agents
            for tp, lag in agent.lags().items()
        }
        text = "Records of the partition that are not applied yet."
        yield family("gauge", "applied_lag_records", text, lags, ["topic", "partition"])
        for agent in agents:
            yield from agent.figures(now_s())

    return collect


def monitor_figures(held: Mapping[TP, Held], progress: Progress, pairs: int) -> Iterable[Metric]:
    """Return the figures of the monitors of a worker; ``pairs`` are those that it has joined."""
    models = sum(len(each.monitor.models) for each in held.values())
    size = sum(each.stored.live_bytes for each in held.values())
    yield family("counter", "pairs", "Predictions joined with their outcome.", {(): pairs})
    yield family("gauge", "models", "Models that this worker monitors.", {(): models})
    text = "Records of the topic that were passed over: something else has written them."
    skipped: dict[Labels, float] = {
        (topic,): float(count) for topic, count in progress.skipped.items()
    }
    yield family("counter", "skipped_records", text, skipped, ["topic"])
    text = "Bytes of the latest snapshots of these models, as stored."
    yield family("gauge", "state_bytes", text, {(): size})
    text = "Seconds to restore the state at the latest assignment."
    yield family("gauge", "restore_seconds", text, {(): progress.restoring_s})
    yield SummaryMetricFamily(
        "tidegauge_save_seconds",
        "Rounds in which the state was saved, and their seconds.",
        count_value=progress.saves,
        sum_value=progress.saving_s,
    )
    text = "Open alerts of these models, without those under another."
    yield family("gauge", "alerts_firing", text, _firing(held), ["severity", "kind"])


def _firing(held: Mapping[TP, Held]) -> dict[Labels, float]:
    found = Counter(
        (alert.severity, alert.kind)
        for each in held.values()
        for model in each.monitor.models.values()
        for alert in model.open_alerts
        if alert.under is None
    )
    return {labels: float(found[labels]) for labels in _ALERT_LABELS}


def lag_figures(
    lags: Mapping[TP, int], appended_ms: Mapping[TP, int], now_s: float
) -> Iterable[Metric]:
    """Return how late ``events`` is applied: the age of the record that was applied last.

    Parameters
    ----------
    lags
        Records that are not applied yet; without any the lag is 0.
    appended_ms
        Instant at which the broker appended the record that was applied last, epoch milliseconds.
    now_s
        Seconds since the epoch.
    """
    ages: dict[Labels, float] = {
        (str(tp.partition),): max(0.0, now_s - appended_ms[tp] / 1_000) if lag else 0.0
        for tp, lag in lags.items()
        if tp in appended_ms or not lag
    }
    text = "Age of the record of events that is applied now; 0 where none waits."
    yield family("gauge", "applied_lag_seconds", text, ages, ["partition"])


def tick_figures(ticks_ms: Mapping[TP, int], now_s: float) -> Iterable[Metric]:
    """Return the age of the latest tick by partition: how old the alerts' view of the world is."""
    ages: dict[Labels, float] = {
        (str(tp.partition),): max(0.0, now_s - tick_ms / 1_000) for tp, tick_ms in ticks_ms.items()
    }
    text = "Seconds since the latest tick that is applied, or since the assignment."
    yield family("gauge", "tick_age_seconds", text, ages, ["partition"])
