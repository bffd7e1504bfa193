import random

import pytest

from schemas import wide_events
from schemas.feature_row import FeatureRow
from streams.clock import DAY_MS
from streams.ingest.records import Accepted
from streams.model.arrivals import decode_into
from tests.doubles.core import log_of, play, play_gathering, snapshots, taken_in
from tests.doubles.inputs import START_MS, accepted, outcome, prediction
from tests.doubles.troubles import troubled

ROWS, MOVED = 330, 290
EVERYTHING, NOTHING = 0, 1 << 30


def moving() -> list[bytes]:
    """Return pairs whose features are doubles but for some, and move; some names are others."""
    chance = random.Random(3)  # noqa: S311 - a seeded generator is the point
    odd = {40: 1, 240: None, 241: "none", 242: 3, 310: 1e-7, 311: True}
    values = []
    for row in range(ROWS):
        shift = 6.0 * (row >= MOVED)
        features: dict[str, object] = {name: chance.gauss(shift, 1.0) for name in ("a", "b", "c")}
        features |= {"b": odd.get(row, features["b"])}
        features |= {"d": 0.5} if row % 90 == 60 else {}
        values.append(prediction(f"p{row}", features=features, score=chance.random()))
        values.append(outcome(f"p{row}", outcome="yes"))
    return values


def nightly() -> list[Accepted]:
    """Return predictions that come in loads; the last load is not over."""
    chance = random.Random(4)  # noqa: S311 - a seeded generator is the point
    at_ms = [START_MS + DAY_MS * night + 10 * row for night in range(4) for row in range(150)]
    values = [
        prediction(f"p{row}", predicted_at=each, features={"a": chance.random(), "b": row + 0.5})
        for row, each in enumerate(at_ms)
    ]
    return [accepted(value, row, logged_at=at_ms[row]) for row, value in enumerate(values)]


def test_rows_that_are_held_are_stored_in_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(nightly(), 50)
    monkeypatch.setattr(wide_events, "SMALL", NOTHING)
    as_objects = play(log)
    monkeypatch.setattr(wide_events, "SMALL", EVERYTHING)
    as_doubles = play(log)

    assert as_doubles.monitor.models["m"]._pending.loads.predictions.held
    assert snapshots(as_doubles.monitor) == snapshots(as_objects.monitor)


@pytest.mark.parametrize("events", [moving(), troubled(1), troubled(4)])
def test_features_read_as_doubles_give_the_same_alerts_and_state(
    events: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of(taken_in(events), 50)
    monkeypatch.setattr(wide_events, "SMALL", NOTHING)
    as_objects = play(log)
    monkeypatch.setattr(wide_events, "SMALL", EVERYTHING)
    one_by_one, at_once = play(log), play_gathering(log, len(log))

    for as_doubles in (one_by_one, at_once):
        assert sorted(as_doubles.emissions) == sorted(as_objects.emissions)
        assert snapshots(as_doubles.monitor) == snapshots(as_objects.monitor)
    assert as_objects.firings()


def test_the_features_of_wide_predictions_are_read_as_doubles() -> None:
    wide = {f"feature_{number}": number + 0.5 for number in range(100)}
    arrivals: dict[str, list[object]] = {"m": []}

    [value] = log_of(taken_in([prediction(features=wide)]))
    decode_into(arrivals, 0, value)  # type: ignore[arg-type]

    [arrival] = arrivals["m"]
    assert type(arrival.event["features"]) is FeatureRow  # type: ignore[attr-defined]
    assert arrival.event["features"].as_dict() == wide  # type: ignore[attr-defined]
