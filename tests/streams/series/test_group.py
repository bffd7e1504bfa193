"""Series that are read together give what series give that are read one by one."""

from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from schemas.model_spec import AlertRules, ModelSpec
from streams.codec import decode, encode
from streams.series.inputs import NonFiniteValueError
from streams.series.monitored import MonitoredSeries
from streams.series.reading import Reading
from streams.series.series_set import SeriesSet
from streams.series.series_state import SeriesSetState
from streams.values import Scalar


def _spec(rows: int) -> ModelSpec:
    return ModelSpec.model_validate({"reference": {"rows": rows}, "alert_budget": 5.0})


SPEC = _spec(200)
Row = dict[str, Scalar]
Make = Callable[[np.random.Generator, list[float]], list[Scalar]]


class Apart(SeriesSet):
    """Series that are read one by one."""

    reads_together = False


class Arrived(NamedTuple):
    """The event of a row."""

    offset: int
    place: int
    now_ms: int


def _now_and_then(other: Scalar, share: float) -> Make:
    return lambda rng, x: [other if rng.random() < share else each for each in x]


def _stuck(rng: np.random.Generator, x: list[float]) -> list[Scalar]:
    for at in rng.integers(0, len(x) - 60, 3).tolist():
        length = int(rng.integers(2, 60))
        x[at : at + length] = [1.25] * length
    return list(x)


COLUMNS: dict[str, Make] = {
    "plain": lambda _, x: list(x),
    "whole": lambda _, x: [int(100 * each) for each in x],
    "mixed": lambda rng, x: [int(each) if rng.random() < 0.3 else each for each in x],
    "atom": _now_and_then(0.0, 0.5),
    "constant": lambda _, x: [3.5] * len(x),
    "missing": _now_and_then(None, 0.2),
    "seldom missing": _now_and_then(None, 0.003),
    "seldom text": _now_and_then("x", 0.003),
    "words": lambda _, x: ["a" if each > 0.5 else "b" for each in x],
    "truth": lambda _, x: [each > 0 for each in x],
    "stuck": _stuck,
}


def rows_of(rng: np.random.Generator, rows: int) -> list[Row]:
    """Return rows of random columns, of which some change, drift or lack a value."""
    columns: dict[str, list[Scalar]] = {}
    for number, name in enumerate(rng.choice(list(COLUMNS), 5)):
        x = rng.normal(size=rows)
        x[rng.integers(0, rows) :] += rng.choice([0.0, 0.0, 3.0])
        x += np.linspace(0.0, rng.choice([0.0, 0.0, 1.0]), rows)
        columns[f"{number} {name}"] = COLUMNS[name](rng, x.tolist())
    made = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    for row in rng.integers(0, rows, 2).tolist():
        made[row] = dict(list(made[row].items())[:1])
    return made


def read(series: SeriesSet, rows: Sequence[Row], at_ms: np.ndarray) -> list[object]:
    reading = Reading(lambda _, row: Arrived(0, row, int(at_ms[row])), AlertRules())
    return list(series.read(series.features.columns(rows, at_ms), reading))


# From a reference of 1,000 rows it is known which runs of equal values are too long.
@pytest.mark.parametrize(
    ("seed", "learnt"), [*((seed, 200) for seed in range(10)), (11, 1_000), (13, 1_000)]
)
def test_series_read_together_equal_those_read_one_by_one(seed: int, learnt: int) -> None:
    rng, spec = np.random.default_rng(seed), _spec(learnt)
    rows = rows_of(rng, learnt + 1_000)
    step_ms, most = int(rng.choice([50, 30_000, 300_000])), int(rng.choice([3, 12, 60, 300]))
    at_ms = 1_700_000_000_000 + np.cumsum(rng.integers(0, 2 * step_ms, len(rows)))
    together, apart, at = SeriesSet(spec), Apart(spec), 0

    while at < len(rows):
        part = slice(at, at + int(rng.integers(1, 2 * most)))
        assert read(together, rows[part], at_ms[part]) == read(apart, rows[part], at_ms[part])
        at = part.stop
        if rng.random() < 0.05:
            assert encode(together.state) == encode(apart.state)
        if rng.random() < 0.05:  # restarts, each at its own time
            together = SeriesSet(spec, decode(encode(together.state), SeriesSetState))
        if learnt < 1_000 and rng.random() < 0.02:
            name = str(rng.choice(sorted(apart.names)))
            together[name].watch.restart("level")
            apart[name].watch.restart("level")

    assert encode(together.state) == encode(apart.state)


@pytest.mark.parametrize("made", [partial(array, "d"), np.array])
def test_a_column_of_doubles_may_be_an_array(made: Callable[[Any], Any]) -> None:
    rows, at_ms = plain_rows(4, 400)
    for row in rows[350:]:
        row["b"] = 9.0
    reading = Reading(lambda _, row: Arrived(0, row, int(at_ms[row])), AlertRules())
    arrays, tuples = SeriesSet(SPEC), SeriesSet(SPEC)

    for at in range(0, 400, 20):
        columns = tuples.features.columns(rows[at : at + 20], at_ms[at : at + 20])
        arrays.features.columns(rows[at : at + 20], at_ms[at : at + 20])
        doubles = [each._replace(values=made(each.values)) for each in columns]
        assert arrays.read(doubles, reading) == tuples.read(columns, reading)

    assert encode(arrays.state) == encode(tuples.state)


def test_a_run_of_equal_values_goes_on_after_a_restart() -> None:
    rows, at_ms = plain_rows(3, 1_060)
    for row in rows[1_010:]:
        row["b"] = 0.5
    spec, found = _spec(1_000), list[Any]()
    series = SeriesSet(spec)

    for at in range(0, len(rows), 5):
        found += read(series, rows[at : at + 5], at_ms[at : at + 5])
        series = SeriesSet(spec, decode(encode(series.state), SeriesSetState))

    [(_, (_, transition))] = found
    assert transition.aspect == "stuck"


def plain_rows(seed: int, rows: int) -> tuple[list[Row], np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(rows, 3)).tolist()
    at_ms = 1_700_000_000_000 + 1_000 * np.arange(rows)
    return [dict(zip("abc", values, strict=True)) for values in x], at_ms


@pytest.mark.parametrize("learnt", [40, 300])
def test_a_plain_series_is_not_called(learnt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, at_ms = plain_rows(1, learnt + 12)
    series, called = SeriesSet(SPEC), list[str]()
    read(series, rows[:5], at_ms[:5])
    read(series, rows[5:learnt], at_ms[5:learnt])
    monkeypatch.setattr(MonitoredSeries, "read", lambda each, *_: called.append(each.name))

    for at in range(learnt, learnt + 12, 4):
        read(series, rows[at : at + 4], at_ms[at : at + 4])

    assert not called
    assert series["feature/a"].watch.seen == learnt + 12


@pytest.mark.parametrize("wild", [float("nan"), float("inf"), 10**400])
def test_a_number_that_is_not_finite_is_refused_and_changes_no_state(wild: Scalar) -> None:
    rows, at_ms = plain_rows(2, 310)
    series = SeriesSet(SPEC)
    read(series, rows[:300], at_ms[:300])
    read(series, rows[300:306], at_ms[300:306])
    before = encode(series["feature/c"].watch)

    with pytest.raises(NonFiniteValueError):
        read(series, [*rows[306:308], {"a": 1.0, "b": 2.0, "c": wild}], at_ms[306:309])

    assert encode(series["feature/c"].watch) == before
