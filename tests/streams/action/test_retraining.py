"""The policy of retraining, through the core."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from schemas.model_spec import ModelSpec, RetrainRules
from schemas.wire import to_epoch_ms
from tests.doubles.core import Json, Played, log_of, play, play_gathering, play_restarting, taken_in
from tests.doubles.inputs import START_MS, Removal, control, outcome, prediction

ONSET = 1_200
MODEL = "loan"


def events(
    rows: int,
    *,
    new_version_at: int | None = None,
    errors: tuple[float, float, float] = (0.05, 0.5, 0.05),
    done_at: int | None = None,
    faults: tuple[int, int] | None = None,
) -> Iterator[bytes]:
    """Predictions a second apart, each with its outcome; the error rises at ONSET."""
    rng = np.random.default_rng(5)
    for row in range(rows):
        is_new = new_version_at is not None and row >= new_version_at
        share = errors[0] if row < ONSET else errors[2 if is_new else 1]
        says, is_wrong = bool(rng.random() < 0.5), bool(rng.random() < share)
        x = "n/a" if faults and faults[0] <= row < faults[1] else float(rng.normal())
        yield prediction(
            f"p{row}",
            MODEL,
            predicted_at=START_MS + 2_000 * row,
            prediction=says,
            model_version="2" if is_new else "1",
            features={"x": x},
            **({"status": "fallback"} if row % 100 == 0 else {}),
        )
        yield outcome(
            f"p{row}", MODEL, observed_at=START_MS + 2_000 * row + 1_000, outcome=says ^ is_wrong
        )
        if row == done_at:
            yield control("done", "retrain", MODEL)


def spec_of(**retrain: Any) -> ModelSpec:
    return ModelSpec(alert_budget=1.0, retrain=RetrainRules(**{"cooldown_s": 0.0} | retrain))


def played(spec: ModelSpec | None, *given: Any, **how: Any) -> Played:
    spec = spec or ModelSpec(alert_budget=1.0)
    return play(log_of(taken_in(events(*given, **how))), lambda _model_id: spec)


def commands(of: Played, name: str = "retrain") -> list[Json]:
    return [each for each in of.of("feedback") if each["command"] == name]


def open_at_the_end(of: Played) -> list[bytes]:
    last = {each.key: each.value for each in of.emissions if each.role == "commands"}
    return [value for value in last.values() if value]


# Rule 2


def test_a_command_waits_for_its_minimum_of_rows_and_names_it() -> None:
    found = played(None, 2_000)

    (command,) = commands(found)
    rows = command["labelled"]
    assert rows["rows"] == command["training"]["minimum"] == 200
    assert abs(rows["first_row"] - ONSET) < 60
    assert len(open_at_the_end(found)) == 1


def test_a_change_that_is_over_before_its_minimum_asks_for_nothing() -> None:
    short = played(spec_of(min_labelled=2_000), 3_500, new_version_at=1_500)

    assert short.firings()
    assert commands(short) == []


def test_rows_are_counted_only_where_a_policy_is_asked_for() -> None:
    silent, counting = played(None, 2_000), played(spec_of(), 2_000)

    (without,), (data,) = commands(silent), commands(counting)
    assert without["training"]["completeness"] is None
    training = data["training"]
    assert training["completeness"] > 0.99
    assert set(training["classes"]) == {"true", "false"}
    assert training["fallbacks"] > 0
    assert training["delay_p90_s"] >= 1.0
    assert [each["why"] for each in training["leave_out"]] == ["fallback"]


def test_rows_with_wrong_inputs_and_excluded_periods_are_named() -> None:
    excluded = {"start": 1_767_000_000_000, "end": 1_900_000_000_000, "because": "a strike"}
    found = played(spec_of(exclude=[excluded]), 2_000, faults=(1_300, 1_500))

    (command,) = commands(found)
    whys = {each["why"]: each for each in command["training"]["leave_out"]}
    fired = {each["fingerprint"]: each for each in found.of("alerts")}
    assert whys.keys() == {"data_quality", "excluded", "fallback"}
    assert fired[whys["data_quality"]["because"]]["series"] == "feature/x"
    assert whys["excluded"]["because"] == "a strike"


def test_an_error_that_fell_and_then_rises_is_a_cause_from_where_it_turned() -> None:
    def turned() -> Iterator[bytes]:
        rng = np.random.default_rng(6)
        for row in range(3_600):
            share = 0.3 if row < ONSET else 0.03 if row < 2_000 else 0.7
            at_ms, says = START_MS + 2_000 * row, bool(rng.random() < 0.5)
            truth = says ^ bool(rng.random() < share)
            yield prediction(f"p{row}", MODEL, predicted_at=at_ms, prediction=says)
            yield outcome(f"p{row}", MODEL, observed_at=at_ms + 1_000, outcome=truth)

    found = play(log_of(taken_in(turned())), lambda _: spec_of(min_labelled=100))

    (command,) = commands(found)
    assert len(found.firings()) == 1
    assert command["labelled"]["first_row"] > 2_000
    assert command["labelled"]["rows"] == 100


# Rules 3 and 4


def test_one_command_is_open_at_most_and_later_causes_join_it() -> None:
    rules = {"on": ("error", "feature/x"), "min_labelled": 20}
    rng = np.random.default_rng(2)

    def both() -> Iterator[bytes]:
        for row in range(2_400):
            says, is_late = bool(rng.random() < 0.5), row >= 1_600
            x = float(rng.normal()) + 3.0 * is_late
            is_wrong = bool(rng.random() < (0.5 if row >= ONSET else 0.05))
            at_ms = START_MS + 2_000 * row
            yield prediction(
                f"p{row}", MODEL, predicted_at=at_ms, prediction=says, features={"x": x}
            )
            yield outcome(
                f"p{row}",
                MODEL,
                observed_at=START_MS + 2_000 * row + 1_000,
                outcome=says ^ is_wrong,
            )

    found = play(log_of(taken_in(both())), lambda _model_id: spec_of(**rules))

    first, *later = commands(found)
    assert later
    assert [each["sequence"] for each in (first, *later)] == list(range(1, len(later) + 2))
    assert later[0]["supersedes"] == first["feedback_id"]
    assert later[0]["expires_at"] == first["expires_at"]
    assert set(first["because"]) < set(later[-1]["because"])
    assert len(open_at_the_end(found)) == 1


@pytest.mark.parametrize("how", [{"new_version_at": 1_800}, {"done_at": 1_800}])
def test_a_new_version_or_a_word_ends_the_command(how: dict[str, int]) -> None:
    found = played(spec_of(min_labelled=200), 1_900, **how)

    assert len(commands(found)) == 1
    assert open_at_the_end(found) == []


def test_a_command_expires() -> None:
    found = played(spec_of(min_labelled=100, valid_s=200.0, cooldown_s=1e6), 2_400)

    (command,) = commands(found)
    assert to_epoch_ms(command["expires_at"]) - to_epoch_ms(command["issued_at"]) == 200_000
    assert open_at_the_end(found) == []


def test_a_removal_ends_the_command() -> None:
    found = play(log_of(taken_in([*events(2_000), Removal(MODEL)])), lambda _: spec_of())

    assert commands(found)
    assert open_at_the_end(found) == []


# By the clock


def test_it_is_asked_for_by_the_clock_without_a_cause() -> None:
    rules = {"every_s": 600.0, "min_labelled": 50, "valid_s": 60.0, "on": ()}
    found = played(spec_of(**rules), ONSET)

    issued = [to_epoch_ms(each["issued_at"]) for each in commands(found)]
    assert len(issued) >= 3
    assert min(np.diff(issued)) >= 600_000
    assert {tuple(each["because"]) for each in commands(found)} == {()}


def test_after_a_command_none_is_given_for_its_cooldown() -> None:
    rules = {"every_s": 600.0, "min_labelled": 50, "valid_s": 60.0, "on": (), "cooldown_s": 900.0}
    found = played(spec_of(**rules), ONSET)

    issued = [to_epoch_ms(each["issued_at"]) for each in commands(found)]
    assert len(issued) >= 2
    assert min(np.diff(issued)) >= 960_000, "60 s until it expires, and 900 s"


# Rule 5


def test_the_result_says_the_error_before_and_after_with_an_interval() -> None:
    found = played(spec_of(min_labelled=200), 2_400, new_version_at=1_800)

    (result,) = commands(found, "retrained")
    told = result["retrained"]
    assert (told["before"]["version"], told["after"]["version"]) == ("1", "2")
    assert told["after"]["rows"] == 200
    assert told["before"]["error"] == pytest.approx(0.5, abs=0.1)
    assert told["after"]["error"] == pytest.approx(0.05, abs=0.05)
    assert told["low"] < told["difference"] < told["high"] < 0
    assert "better" in result["summary"]
    assert result["expires_at"] is None


# How the log is cut changes nothing


def test_commands_do_not_depend_on_how_the_log_is_cut() -> None:
    given = list(events(2_600, new_version_at=1_900, faults=(1_300, 1_500)))
    spec = spec_of(min_labelled=150, every_s=900.0)

    def said(of: Played) -> list[tuple[str, bytes]]:
        roles = {"feedback", "commands"}
        return sorted((each.role, each.value) for each in of.emissions if each.role in roles)

    whole = play(log_of(taken_in(given), 100), lambda _: spec)
    assert len(commands(whole)) >= 2
    for size, gather in ((7, 40), (500, 3)):
        cut = play_gathering(log_of(taken_in(given), size), gather, lambda _: spec)
        assert [v for r, v in said(cut) if r == "commands" and not v] == [
            v for r, v in said(whole) if r == "commands" and not v
        ]
        assert without_offsets(commands(cut)) == without_offsets(commands(whole))
    restarted = play_restarting(log_of(taken_in(given), 100), lambda _: spec)
    assert said(restarted) == said(whole)


def without_offsets(given: list[Json]) -> list[Json]:
    rows = [each["labelled"] | {"first_offset": 0, "last_offset": 0} for each in given]
    return [each | {"labelled": r, "evidence": None} for each, r in zip(given, rows, strict=True)]
