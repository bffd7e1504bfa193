"""The promise under everything at once: a short chaos run."""

import pytest
from rich.console import Console

from benchmarks.chaos.run import ChaosOptions, run
from benchmarks.chaos.schedule import KINDS
from schemas.topics import Topics
from tests.conftest import require_kafka


@pytest.mark.chaos
def test_nothing_is_lost_and_nothing_made_up_whatever_breaks() -> None:
    require_kafka()

    result = run(
        ChaosOptions(kills=3, seed=1, per_second=300, max_wait_s=0.8, brokers=1, pace=0.5),
        Console(),
    )

    assert result.has_drained
    assert result.inputs.is_equal
    assert {role: found for role, found in result.findings.items() if not found.is_equal} == {}
    outputs = {topic.role for topic in Topics().outputs()}
    assert result.findings.keys() == outputs | {"incidents"}
    assert result.holds
    assert result.faults.keys() == set(KINDS)
    assert [role for role, found in result.findings.items() if not found.expected] == []
    assert result.sent["inputs"] > 0
    assert result.sent["report"] > 0
