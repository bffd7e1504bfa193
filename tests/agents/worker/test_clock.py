from __future__ import annotations

import pytest

from agents.worker.clock import CheckedClock

TOLERANCE_S = 30.0
START_S = 1_767_225_600.0


class Clocks:
    """A worker's clock, which may be wrong, and the broker's."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.wrong_s = 0.0
        self.checked = CheckedClock(
            lambda: START_S + self.passed_s + self.wrong_s, lambda: self.passed_s, TOLERANCE_S
        )

    def acknowledge(self, took_s: float = 0.0) -> None:
        """Take an acknowledgement of a record that was appended in the middle of ``took_s``."""
        appended_s = START_S + self.passed_s + took_s / 2
        self.passed_s += took_s
        self.checked.note(round(appended_s * 1_000), took_s)

    def error_s(self) -> float:
        """Return by how much the checked clock is wrong."""
        return self.checked() - START_S - self.passed_s


@pytest.mark.parametrize("wrong_s", [0.0, TOLERANCE_S - 0.5, -TOLERANCE_S + 0.5])
def test_a_clock_within_the_tolerance_counts(wrong_s: float) -> None:
    clocks = Clocks()
    clocks.wrong_s = wrong_s
    clocks.acknowledge()
    clocks.passed_s += 100.0

    assert clocks.checked.off_s == 0.0
    assert clocks.error_s() == pytest.approx(wrong_s, abs=1e-3)


@pytest.mark.parametrize("wrong_s", [40.0, -40.0, 31 * 86_400.0, -31 * 86_400.0])
def test_beyond_it_the_broker_counts_also_where_the_clock_is_set_after_the_acknowledgement(
    wrong_s: float,
) -> None:
    clocks = Clocks()
    clocks.acknowledge()
    clocks.passed_s += 10.0
    clocks.wrong_s = wrong_s

    assert clocks.checked.off_s == pytest.approx(wrong_s, abs=1e-3)
    assert clocks.error_s() == pytest.approx(0.0, abs=1e-3)


def test_a_slow_acknowledgement_is_no_wrong_clock() -> None:
    clocks = Clocks()
    clocks.acknowledge(took_s=200.0)

    assert clocks.checked.off_s == 0.0
    assert clocks.error_s() == pytest.approx(0.0, abs=1e-3)


def test_before_the_first_acknowledgement_the_own_clock_counts() -> None:
    clocks = Clocks()
    clocks.wrong_s = 3_600.0

    assert clocks.error_s() == 3_600.0
    assert clocks.checked.latest_s() == float("inf")
