"""The fallback as a lease."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from schemas.event import encode_tick
from schemas.model_spec import FallbackRules, ModelSpec
from schemas.wire import to_epoch_ms
from streams.action.fallback import Fallback
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, accepted, prediction

RULES = FallbackRules(ttl_s=90, hold_s=60, latency_ms_above=500.0, error_above=0.3)
MODEL = "gate"
DOWN, UP = 600, 900


def spec_of(**rules: Any) -> ModelSpec:
    return ModelSpec(fallback=FallbackRules(**{"ttl_s": 90.0, "hold_s": 60.0} | rules))


def broken(rows: int = 1_100) -> Iterator[bytes]:
    """A model whose calls fail from DOWN to UP; while the lease holds, one call in five is a probe.

    Predictions are a second apart, and the gateway obeys 20 s after the first failures.
    """
    for row in range(rows):
        is_down = DOWN <= row < UP
        is_fallback = DOWN + 40 <= row < UP + 80 and row % 5 != 0
        status = "fallback" if is_fallback else "error" if is_down else "ok"
        yield prediction(f"g{row}", MODEL, prediction=1, status=status)


def said(of: Played, command: str) -> list[Json]:
    return [each for each in of.of("feedback") if each["command"] == command]


def leases(of: Played) -> list[bytes]:
    return [each.value for each in of.emissions if each.role == "commands"]


def played(values: Iterator[bytes], spec: ModelSpec) -> Played:
    return play(log_of(taken_in(values), 20), lambda _model_id: spec)


def test_failing_calls_turn_it_on_renewals_hold_it_and_probes_turn_it_off() -> None:
    found = played(broken(), spec_of(auto=True))

    on, off = said(found, "fallback_on"), said(found, "fallback_off")
    issued = [to_epoch_ms(each["issued_at"]) for each in on]
    assert on[0]["fallback"]["reasons"] == ["failed"]
    assert issued[0] - (START_MS + 1_000 * DOWN) < 60_000
    assert {int(gap) for gap in np.diff(issued)} <= {30_000, 31_000}
    assert all(
        to_epoch_ms(each["expires_at"]) - to_epoch_ms(each["issued_at"]) == 90_000 for each in on
    )
    assert [each["supersedes"] for each in on] == [None, *(each["feedback_id"] for each in on[:-1])]
    assert len(off) == 1
    assert to_epoch_ms(off[0]["issued_at"]) >= START_MS + 1_000 * UP
    assert off[0]["sequence"] == on[-1]["sequence"] + 1
    assert leases(found)[-1] == b""
    assert not on[0]["suggested"]


def test_nothing_is_commanded_unless_the_spec_asks_and_a_person_decides_unless_it_is_auto() -> None:
    assert said(played(broken(), ModelSpec()), "fallback_on") == []
    assert said(played(broken(), spec_of()), "fallback_on")[0]["suggested"]


def test_an_alert_that_is_over_while_the_fallback_answers_proves_nothing() -> None:
    """No call fails while nobody calls: the probes go on failing, so the lease is renewed."""
    found = played((each for each in broken(UP)), spec_of())

    assert [each["status"] for each in found.of("alerts")][-1:] != []
    assert said(found, "fallback_off") == []
    assert leases(found)[-1] != b""


def test_silence_turns_it_on_at_a_tick_and_a_dead_monitor_renews_nothing() -> None:
    minutes = [
        accepted(prediction(f"g{row}", MODEL, prediction=1), row, logged_at=START_MS + 60_000 * row)
        for row in range(2_880)
    ]
    log, last_ms = log_of(minutes), START_MS + 60_000 * 2_880
    ticks = [encode_tick(last_ms + 10_000 * each) for each in range(1, 180)]

    found = play([*log, *ticks], lambda _model_id: spec_of())

    on = said(found, "fallback_on")
    assert on[0]["fallback"]["reasons"] == ["silent"]
    # The last lease ends ttl_s after the last tick at the latest, whoever is silent.
    assert to_epoch_ms(on[-1]["expires_at"]) <= last_ms + 10_000 * 180 + 90_000
    assert len(on) > 3


@pytest.mark.parametrize(("slow", "expected"), [(0.005, []), (0.1, ["slow"])])
def test_slow_answers_are_a_reason_above_one_in_a_hundred(slow: float, expected: list[str]) -> None:
    state, rng = Fallback(), np.random.default_rng(3)
    for row in range(400):
        state.on_prediction("ok", 900.0 if rng.random() < slow else 50.0, row * 1_000, RULES)
    assert list(state.reasons) == expected


def test_wrong_answers_are_a_reason_by_their_lower_bound_and_labels_prove_the_model() -> None:
    state, rng = Fallback(), np.random.default_rng(4)

    def judged(rows: range, share: float) -> None:
        for row in rows:
            now_ms = row * 1_000
            is_error = bool(rng.random() < share)
            state.on_pair(is_error=is_error, predicted_ms=now_ms, now_ms=now_ms, rules=RULES)

    judged(range(200), 0.3)
    assert list(state.reasons) == []
    judged(range(200, 400), 0.5)
    assert list(state.reasons) == ["wrong"]
    assert state.step(400_000, RULES) == "on"
    judged(range(401, 520), 0.05)
    assert state.step(520_000, RULES) == "off"


def test_a_lease_that_ran_out_begins_anew() -> None:
    state = Fallback()
    state.on_reason("failed", holds=True, now_ms=0)

    assert state.step(0, RULES) == "on"
    assert state.step(30_000, RULES) == "renew"
    assert state.step(200_000, RULES) == "on"


def test_leases_do_not_depend_on_how_the_log_is_cut() -> None:
    spec = spec_of()

    def of(played: Played) -> list[tuple[Any, ...]]:
        return [
            (each["feedback_id"], each["issued_at"], each["expires_at"], each["supersedes"])
            for each in played.of("feedback")
        ]

    given = taken_in(broken())
    whole = play(log_of(given, 100), lambda _: spec)
    assert of(play_gathering(log_of(given, 7), 40, lambda _: spec)) == of(whole)
    assert of(play_restarting(log_of(given, 100), lambda _: spec)) == of(whole)
