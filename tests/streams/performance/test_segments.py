"""Segments: where a model has become worse, within the budget."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest

from schemas.model_spec import ModelSpec, SpecError, parse_spec
from streams.performance.segment_search import Rows, find_segments
from streams.performance.segments import Segments
from streams.traffic.conditions import ConditionState
from tests.doubles.core import Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import outcome, prediction

COUNTRIES, CHANNELS = ["FR", "DE", "US", "ES"], ["web", "shop", "mail"]
SPEC = ModelSpec.model_validate({"segments": {"ring": 2_500}, "metrics": None})


def row(
    rng: np.random.Generator, wrong: dict[tuple[str, str], float]
) -> tuple[dict[str, Any], bool]:
    """Return a prediction's fields and whether it is an error, more often in some segments."""
    segment = {"country": _one(rng, COUNTRIES, [0.06, 0.44, 0.3, 0.2])}
    segment["channel"] = _one(rng, CHANNELS, [0.5, 0.3, 0.2])
    score = float(rng.beta(0.5, 4))
    risk = min(score, 1 - score)
    for key, odds in wrong.items():
        if segment[key[0]] == key[1]:
            risk = risk * odds / (1 - risk + risk * odds)
    return {"segment": segment, "score": score}, bool(rng.random() < risk)


def _one(rng: np.random.Generator, names: list[str], parts: list[float]) -> str:
    return names[int(np.searchsorted(np.cumsum(parts), rng.random()))]


def watched(
    seed: int, rows: int, wrong: dict[tuple[str, str], float], after: int = 2_000
) -> tuple[Segments, list[tuple[int, ConditionState]]]:
    """Feed rows; return the segments and what they told, each with its number."""
    rng = np.random.default_rng(seed)
    segments = Segments(ModelSpec.model_validate({"segments": {}}))
    told = []
    for number in range(1, rows + 1):
        fields, is_error = row(rng, wrong if number > after else {})
        found = segments.on_pair(
            number, orjson.dumps(fields), is_error, lambda _name: None, is_prompt=True
        )
        told += [(number, each) for each in found]
    return segments, told


def test_a_segment_of_six_hundredths_is_found_and_named() -> None:
    _, told = watched(1, 16_000, {("country", "FR"): 6.0}, after=5_000)

    number, first = told[0]
    assert first.is_on
    assert first.condition.segment == {"country": "FR"}
    assert number < 5_000 + 4_500
    assert "answers with country FR are wrong" in first.condition.says
    assert first.condition.figures.value is not None
    assert first.condition.figures.value > (first.condition.figures.baseline or 1.0)


def test_a_segment_that_is_back_ends_its_alert() -> None:
    rng, segments = np.random.default_rng(2), Segments(ModelSpec.model_validate({"segments": {}}))
    states = []
    for number in range(1, 30_001):
        wrong = {("channel", "mail"): 6.0} if 5_000 < number < 8_000 else {}
        fields, is_error = row(rng, wrong)
        states += segments.on_pair(
            number, orjson.dumps(fields), is_error, lambda _name: None, is_prompt=True
        )

    of_mail = [each.is_on for each in states if each.condition.segment == {"channel": "mail"}]
    assert of_mail[0]
    assert not of_mail[-1]
    assert segments.state.open == {}


@pytest.mark.parametrize("seed", [11, 12])
def test_a_pair_that_fails_is_told_once_and_ends_where_it_is_back(seed: int) -> None:
    rng, told = np.random.default_rng(seed), []
    segments = Segments(ModelSpec.model_validate({"segments": {}}))
    pair = {"channel": "mail", "country": "US"}
    for number in range(1, 26_001):
        fields, is_error = row(rng, {})
        fails = 6_000 < number <= 12_000 and fields["segment"] == pair
        is_error |= fails and bool(rng.random() < 0.25)
        told += segments.on_pair(
            number, orjson.dumps(fields), is_error, lambda _name: None, is_prompt=True
        )
        if number == 12_000:
            assert set(map(_places(segments).get, segments.state.open)) == {"mail US"}

    assert {orjson.dumps(each.condition.segment) for each in told} == {orjson.dumps(pair)}
    assert {each.condition.series for each in told} == {"segment/channel=mail,country=US"}
    assert "answers with channel mail and country US are wrong" in told[0].condition.says
    assert (told[0].is_on, told[-1].is_on) == (True, False)
    assert segments.state.open == {}


def _places(segments: Segments) -> dict[int, str]:
    ring = segments.state.ring
    assert ring is not None
    return {place: " ".join(ring.names_of(place).values()) for place in range(len(ring.watched))}


def test_pairs_of_a_value_with_an_alert_are_not_read() -> None:
    segments, told = watched(13, 9_000, {("country", "US"): 5.0}, after=6_000)

    assert told[0][1].condition.segment == {"country": "US"}
    ring = segments.state.ring
    assert ring is not None
    of_us = [place for place, name in _places(segments).items() if name.endswith(" US")]
    assert len(of_us) == 3
    live = segments._watched_now(ring)
    assert [live[place] for place in of_us] == [0.0] * 3


def test_nothing_is_told_while_labels_come_late() -> None:
    rng, segments = np.random.default_rng(3), Segments(ModelSpec.model_validate({"segments": {}}))

    for number in range(1, 9_000):
        fields, is_error = row(rng, {("country", "DE"): 9.0} if number > 5_000 else {})
        assert not segments.on_pair(
            number, orjson.dumps(fields), is_error, lambda _name: None, is_prompt=False
        )

    found = segments.worst(8_999, 3_000)
    assert found is not None
    assert found.segments[0].segment == {"country": "DE"}


def test_a_value_that_is_rare_is_counted_with_all_others() -> None:
    rng, segments = np.random.default_rng(4), Segments(ModelSpec.model_validate({"segments": {}}))
    for number in range(1, 5_000):
        fields, is_error = row(rng, {})
        fields["segment"]["user"] = f"u{number}" if number % 3 else "guest"
        segments.on_pair(number, orjson.dumps(fields), is_error, lambda _name: None, is_prompt=True)

    ring = segments.state.ring
    assert ring is not None
    assert [each.names for each in ring.dimensions if each.name == "user"] == [["(other)", "guest"]]


def test_the_mix_explains_what_other_traffic_does() -> None:
    rng = np.random.default_rng(5)
    segments = Segments(ModelSpec.model_validate({"segments": {}}))
    for number in range(1, 8_001):
        is_later = number > 5_000
        segment = {"channel": _one(rng, CHANNELS, [0.2, 0.2, 0.6] if is_later else [0.6, 0.3, 0.1])}
        rate = {"web": 0.05, "shop": 0.05, "mail": 0.3}[segment["channel"]]
        is_error = bool(rng.random() < rate * (1.3 if is_later else 1.0))
        payload = orjson.dumps({"segment": segment})
        segments.on_pair(number, payload, is_error, lambda _name: None, is_prompt=True)

    found = segments.worst(8_000, 3_000)

    assert found is not None
    assert found.parts.dimension == "channel"
    assert found.parts.mix == pytest.approx(0.5 * 0.25, abs=0.03)
    assert found.parts.within == pytest.approx(0.3 * 0.2, abs=0.03)


def test_a_pair_of_values_is_named_where_it_says_more_than_either() -> None:
    rng, n = np.random.default_rng(6), 3_000
    codes = rng.integers(1, 4, (n, 2)).astype(np.uint8)
    rates = np.where((codes[:, 0] == 1) & (codes[:, 1] == 2), 0.4, 0.05)
    rows = Rows(codes, np.full(n, 0.05), (rng.random(n) < rates).astype(float))

    found = find_segments(rows, [np.array([0.0, 1, 1, 1])] * 2)

    assert [(part.dimension, part.code) for part in found[0].parts] == [(0, 1), (1, 2)]


# In the model


@cache
def values() -> list[bytes]:
    """Pairs of a model that has become worse for one country after 3,000 of them."""
    rng = np.random.default_rng(7)
    made = []
    for number in range(6_500):
        fields, is_error = row(rng, {("country", "DE"): 5.0} if number > 3_000 else {})
        made.append(
            prediction(f"{number}", prediction=1, features={"age": 30 + number % 7}, **fields)
        )
        made.append(outcome(f"{number}", outcome=int(not is_error)))
    return made


@cache
def log() -> list[bytes]:
    return log_of(taken_in(values()), 400)


@cache
def played() -> Played:
    return play(log(), lambda _model_id: SPEC)


def test_the_alert_of_an_error_names_its_worst_segment() -> None:
    errors = [each for each in played().firings() if each["series"] == "error"]

    alert = errors[0]
    assert alert["worst_segments"][0]["segment"] == {"country": "DE"}
    worst = alert["worst_segments"][0]
    assert worst["errors"] > 1.5 * worst["expected"]
    assert alert["mix"]["within"] > abs(alert["mix"]["mix"])


def test_an_alert_of_a_segment_says_which() -> None:
    told = [each for each in played().of("alerts") if each["aspect"] == "segment"]

    assert all(each["segment"] == {"country": "DE"} for each in told)
    assert all(each["series"] == "segment/country=DE" for each in told)
    assert all(each["kind"] == "performance" for each in told)


def test_how_the_log_is_cut_and_a_restart_change_nothing() -> None:
    spec_of = lambda _model_id: SPEC  # noqa: E731 # three plays of one spec

    gathered = play_gathering(log(), 6, spec_of).bytes_of("alerts")

    assert gathered == played().bytes_of("alerts")
    assert play_restarting(log(), spec_of).bytes_of("alerts") == gathered


def test_segments_that_are_not_asked_for_are_not_there() -> None:
    silent = play(log())

    assert all(each["worst_segments"] == [] for each in silent.of("alerts"))
    assert all(model._segments is None for model in silent.monitor.models.values())


def test_more_dimensions_than_can_be_held_are_refused() -> None:
    with pytest.raises(SpecError, match=r"segments.dimensions"):
        parse_spec({"segments": {"dimensions": [f"d{i}" for i in range(17)]}})
