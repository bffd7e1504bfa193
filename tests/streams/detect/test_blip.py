"""A blip of a number is no alarm; a change that lasts is one, some rows later."""

import numpy as np
import pytest

from streams.change import Finding
from streams.detect.blip import BLIP_ROWS
from streams.detect.level import NumericDetector
from streams.detect.sample import Sample
from streams.values import Floats

RUNS, QUIET = 12, 200


def found(run: int, wild: Floats, after: int) -> Finding | None:
    """Read quiet rows, wild ones, and quiet ones again."""
    rng = np.random.default_rng([9, run])
    detector = NumericDetector.learn(Sample.of(rng.normal(size=2_000)), 0.001)
    return detector.run(np.concatenate((rng.normal(size=QUIET), wild, rng.normal(size=after))))


@pytest.mark.parametrize(("mean", "sd"), [(3.0, 1.0), (-3.0, 1.0), (1_000.0, 1.0), (0.0, 4.0)])
def test_twenty_wild_rows_are_no_change(mean: float, sd: float) -> None:
    rng = np.random.default_rng(4)

    alarms = [found(run, rng.normal(mean, sd, 20), 600) for run in range(RUNS)]

    assert sum(each is not None for each in alarms) <= 1


@pytest.mark.parametrize(("mean", "sd"), [(3.0, 1.0), (-3.0, 1.0), (1_000.0, 1.0), (0.0, 4.0)])
def test_rows_that_stay_wild_are_told_when_they_are_no_blip(mean: float, sd: float) -> None:
    rng = np.random.default_rng(5)

    for run in range(RUNS):
        alarm = found(run, rng.normal(mean, sd, 100), 0)

        assert alarm is not None
        assert BLIP_ROWS - 6 <= alarm.row - QUIET + 1 <= BLIP_ROWS + 12


def test_where_the_values_are_cut_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    x = np.concatenate((rng.normal(size=300), rng.normal(3, 1, 20), rng.normal(size=200)))
    x = np.concatenate((x, rng.normal(2, 1, 60)))
    sample, rows = Sample.of(rng.normal(size=2_000)), list[int]()

    for cut in (1, 7, 64, len(x)):
        detector = NumericDetector.learn(sample, 0.001)
        for first in range(0, len(x), cut):
            alarm = detector.run(x[first : first + cut])
            if alarm is not None:
                rows.append(first + alarm.row)
                break

    assert len(rows) == 4
    assert len(set(rows)) == 1
