"""The example that retraces figures in Arrow tables."""

from __future__ import annotations

import pytest

from agents.commands.metrics import MetricsQuery
from examples.metrics import retrace
from schemas.metric import Metric
from tests.streams.performance.test_ledger import classes


def test_figures_of_a_day_are_retraced_from_its_rows() -> None:
    query = MetricsQuery(model_id="m", by="day")
    days = {}
    for value in classes().bytes_of("metrics"):
        if b"tidegauge.metric.v1" not in value:
            continue
        metric = Metric.model_validate_json(value)
        if query.wants(metric):
            days[metric.start] = metric
    told = retrace.metrics_table(days.values())
    hand = retrace.retraced(retrace.labelled_table(classes().bytes_of("labelled")))

    assert len(told) == len(hand) == 6
    for name in retrace.FIGURES:
        assert told[name].to_pylist() == pytest.approx(hand[name].to_pylist())
