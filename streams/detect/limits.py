"""Limits that the detectors share."""

import math
from dataclasses import fields
from typing import Any

# River's ADWIN without `river.drift`, which loads scipy: a second of CPU at every start.
from streams.detect.reference import NumericReference, ShareReference

STEADY = 2.0
TOP_MARGIN = 1.25
CALM = 0.5
ONE_FALSE_ALARM = 1.0


def _away(before: float, rows: float, learnt: int, variance: float, change: float) -> float:
    """Return the sum over rows before a change, on its side, in deviations of chance."""
    if rows <= 0:
        return 0.0
    deviation = math.sqrt(variance * (rows + rows * rows / learnt))
    return float(before * math.copysign(1.0, change) / deviation)


def _plain(reference: NumericReference | ShareReference) -> dict[str, Any]:
    return {field.name: getattr(reference, field.name) for field in fields(reference)}
