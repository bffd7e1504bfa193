"""A source that fails moves all features of a model at once."""

import numpy as np
import pytest

from tests.doubles.core import Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, prediction

FEATURES, ROWS, ONSET = 15, 2_600, 2_200


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    """Return predictions of which all features move from a row on."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(ROWS, FEATURES))
    values[ONSET:] += np.linspace(1.0, 3.0, FEATURES)
    return log_of(
        taken_in(
            prediction(
                f"p{row}",
                features={f"f{column}": float(x) for column, x in enumerate(values[row])},
                predicted_at=START_MS + 2_000 * row,
            )
            for row in range(ROWS)
        ),
        200,
    )


@pytest.fixture(scope="module")
def played(log: list[bytes]) -> Played:
    return play(log)


def test_one_alert_tells_of_all_of_them(played: Played) -> None:
    *alone, storm = played.firings()

    assert len(alone) == 5
    assert (storm["series"], storm["aspect"]) == ("features", "together")
    assert storm["summary"].startswith("Model m: 6 series moved within an hour: f")


def test_each_of_them_is_in_status_under_it(played: Played) -> None:
    latest = {}
    for status in played.of("status"):
        latest[status["alert"]["series"]] = status["alert"]
    storm = latest["features"]

    under = {name for name, alert in latest.items() if alert["under"] == storm["fingerprint"]}
    assert len(under) == FEATURES - 5
    assert storm["under"] is None


def test_how_the_log_is_read_changes_nothing(log: list[bytes], played: Played) -> None:
    assert play_gathering(log, 5).emissions == played.emissions
    assert play_restarting(log).emissions == played.emissions
