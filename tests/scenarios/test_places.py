"""A job at a fixed hour of a place, when its clocks change."""

import numpy as np
import pytest

from schemas.model_spec import ModelSpec, SeasonRules
from tests.doubles.core import log_of, play
from tests.doubles.inputs import accepted, prediction

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
FIRST_MS = 1_773_187_200_000
"""2026-03-11T00:00:00Z; summer time begins in Paris on the 29th."""
DAYS, A_DAY = 22, 480


@pytest.mark.parametrize(("zone", "alarms"), [("Europe/Paris", 0), (None, 1)])
def test_a_job_at_a_local_hour_is_quiet_when_summer_time_begins(
    zone: str | None, alarms: int
) -> None:
    rng = np.random.default_rng(4)
    at_ms = FIRST_MS + (np.arange(DAYS * A_DAY) * (DAY_MS / A_DAY)).astype(np.int64)
    spring_ms = 1_774_746_000_000
    local_hour = (at_ms + np.where(at_ms < spring_ms, 1, 2) * HOUR_MS) // HOUR_MS % 24
    values = rng.normal(size=len(at_ms)) + 4.0 * np.isin(local_hour, (14, 15))
    events = [
        accepted(
            prediction(f"p{row}", features={"f": float(x)}, predicted_at=int(at)),
            row,
            logged_at=int(at),
        )
        for row, (at, x) in enumerate(zip(at_ms, values, strict=True))
    ]

    played = play(log_of(events, 500), lambda _: ModelSpec(season=SeasonRules(zone=zone)))

    late = [alert for alert in played.firings() if alert["detected_at"] > "2026-03-28"]
    assert min(len(late), 1) == alarms
