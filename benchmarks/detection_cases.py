"""The cases of the detection benchmark: streams, and what is measured on them."""

import csv
import gzip
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from streams.aspects import SeriesRole
from streams.change import Change
from streams.codec import encode
from streams.detect.budget import shares
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

ROOT = Path(__file__).resolve().parent.parent
REFERENCE_ROWS = 2_000
BATCH_ROWS = 500
SEED = 83_207

Rng = np.random.Generator
Floats = NDArray[np.float64]
Draw = Callable[[Rng, int], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; ``bound`` is what is asked, at most."""

    case: str
    what: str
    got: float
    bound: float | None = None
    quick_bound: float | None = None
    note: str = ""


def rng_of(case: int, run: int) -> Rng:
    """Return the generator of one run of one case."""
    return np.random.default_rng([SEED, case, run])


def read(watch: SeriesWatch, values: list[Scalar]) -> Iterator[tuple[int, Change]]:
    """Yield each change with its row."""
    for start in range(0, len(values), BATCH_ROWS):
        for change in watch.update(values[start : start + BATCH_ROWS]):
            yield start + change.index, change


def new_watch(role: SeriesRole, false_alarms: float) -> SeriesWatch:
    """Return a watch with its share of a budget."""
    watch = SeriesWatch(WatchSpec(role=role))
    watch.set_budget(false_alarms)
    return watch


def one_of(features: int) -> float:
    """Return the share of one feature of a model with a score, at the default budget."""
    features_and_score: list[SeriesRole] = ["score"]
    features_and_score.extend("feature" for _ in range(features))
    return shares(0.2, features_and_score)[0]


def false_alarms(
    draw: Draw, budget: float, runs: int, case: int, role: SeriesRole = "feature"
) -> tuple[float, float]:
    """Return false alarms per 10,000 rows, and the 95 % half-width of that figure."""
    rows, alarms = 12_000, 0
    for run in range(runs):
        values = as_values(draw(rng_of(case, run), rows), role)
        alarms += sum(1 for _ in read(new_watch(role, budget), values))
    per = runs * rows / 10_000
    return alarms / per, 1.96 * math.sqrt(max(alarms, 1)) / per


def as_values(x: Floats, role: SeriesRole) -> list[Scalar]:
    """Return JSON's scalars; an error is true or false."""
    values: list[Scalar] = (x > 0).tolist() if role == "error" else x.tolist()
    return values


@dataclass(frozen=True, slots=True)
class Delays:
    """Rows until a change was found, over runs."""

    rows: list[int]
    missed: int
    early: int

    @property
    def mean(self) -> float:
        """Mean rows of the runs that found it."""
        return float(np.mean(self.rows)) if self.rows else math.inf

    @property
    def p95(self) -> float:
        """Rows within which 95 % of the finds were made."""
        return float(np.percentile(self.rows, 95)) if self.rows else math.inf

    @property
    def missed_share(self) -> float:
        """Share of the quiet runs in which it was not found."""
        quiet = len(self.rows) + self.missed
        return self.missed / quiet if quiet else math.nan


def delays(
    before: Draw,
    after: Draw,
    budget: float,
    runs: int,
    case: int,
    *,
    role: SeriesRole = "feature",
    quiet_rows: int = 3_000,
    limit: int = 2_000,
) -> Delays:
    """Return the delays of a change that comes ``quiet_rows`` after the reference."""
    start = REFERENCE_ROWS + quiet_rows
    rows, missed, early = [], 0, 0
    for run in range(runs):
        rng = rng_of(case, run)
        x = np.concatenate((before(rng, start), after(rng, limit)))
        first = next(read(new_watch(role, budget), as_values(x, role)), None)
        if first is None:
            missed += 1
        elif first[0] < start:
            early += 1
        else:
            rows.append(first[0] - start + 1)
    return Delays(rows, missed, early)


# Streams.


def normal(mean: float = 0.0, sd: float = 1.0) -> Draw:
    """Return independent normal values."""
    return lambda rng, rows: rng.normal(mean, sd, rows)


def hits(share: float) -> Draw:
    """Return independent ones of a share, and zeros."""
    return lambda rng, rows: (rng.random(rows) < share).astype(np.float64)


def autoregressive(phi: float, mean: float = 0.0) -> Draw:
    """Return values of unit deviation that remember their neighbour."""

    def draw(rng: Rng, rows: int) -> Floats:
        noise = rng.normal(0.0, math.sqrt(1 - phi * phi), rows)
        x = np.empty(rows)
        previous = rng.normal()
        for row in range(rows):
            previous = phi * previous + noise[row]
            x[row] = previous
        return x + mean

    return draw


TAILS: dict[str, Draw] = {
    "lognormal": lambda rng, rows: np.exp(1.5 * rng.normal(size=rows)),
    "t3": lambda rng, rows: rng.standard_t(3, rows),
    "Cauchy": lambda rng, rows: rng.standard_cauchy(rows),
    "zero-inflated": lambda rng, rows: np.where(
        rng.random(rows) < 0.6, 0.0, rng.exponential(size=rows)
    ),
    "0/1": hits(0.2),
    "ties": lambda rng, rows: np.round(3 * rng.normal(size=rows)),
}


def words(rng: Rng, rows: int, levels: int) -> list[Scalar]:
    """Return categories of uneven shares, none below half a percent."""
    weights = rng.dirichlet(np.full(levels, 2.0)) + 0.01
    return [f"level {k}" for k in rng.choice(levels, rows, p=weights / weights.sum())]


def mixed_model(rng: Rng, rows: int, change_at: int | None) -> dict[str, list[Scalar]]:
    """Return 100 features of all sorts; at ``change_at`` one moves by a deviation, one sticks."""
    series: dict[str, list[Scalar]] = {}
    for k in range(66):
        x = rng.normal(size=rows)
        if k == 0 and change_at is not None:
            x[change_at:] += 1.0
        series[f"number {k}"] = x.tolist()
        if k % 10 == 3:
            gone = rng.random(rows) < 0.05
            series[f"number {k}"] = [
                None if g else v for g, v in zip(gone, x.tolist(), strict=True)
            ]
    series["t3"] = rng.standard_t(3, rows).tolist()
    series["lognormal"] = np.exp(2 * rng.normal(size=rows)).tolist()
    series["constant"] = [5.0] * rows
    sticks = rng.normal(size=rows)
    if change_at is not None:
        sticks[change_at:] = sticks[change_at]
    series["sticks"] = sticks.tolist()
    for k in range(30):
        series[f"word {k}"] = words(rng, rows, (2, 3, 5, 8, 12, 20)[k % 6])
    series["error"] = (rng.random(rows) < 0.1).tolist()
    return series


def told(runs: int, of: int, what: str, so_far: str) -> None:
    """Say every ten runs how far it is."""
    if runs % 10 == 0:
        click.echo(f"{runs} of {of} {what}: {so_far}", err=True)


def mixed_run(
    rng: Rng, budget: float, rows: int, change_at: int | None
) -> list[tuple[str, int, Change]]:
    """Return every change of one run of the mixed model."""
    series = mixed_model(rng, rows, change_at)
    roles: list[SeriesRole] = ["error" if name == "error" else "feature" for name in series]
    found = []
    for (name, values), role, share in zip(
        series.items(), roles, shares(budget, roles), strict=True
    ):
        found += [(name, row, change) for row, change in read(new_watch(role, share), values)]
    return found


# Cases.


def numeric_cases(scale: float) -> Iterator[Figure]:
    """Case 1: a hundred independent numbers."""
    share, runs, rows = one_of(100), max(int(60 * scale), 4), 12_000
    alarms = [0] * runs
    for run in range(runs):
        rng = rng_of(1, run)
        for _ in range(100):
            watch = new_watch("feature", share)
            alarms[run] += sum(1 for _ in read(watch, rng.normal(size=rows).tolist()))
    per = sum(alarms) / (runs * rows / 10_000)
    half = 1.96 * math.sqrt(max(sum(alarms), 1)) / (runs * rows / 10_000)
    yield Figure(
        case="1",
        what="100 features: false alarms per 10,000 rows of the whole monitor",
        got=per,
        bound=0.2,
        quick_bound=0.6,
        note=f"± {half:.2f}, {runs} runs",
    )
    with_any = sum(count > 0 for count in alarms) / runs
    yield Figure(
        case="1",
        what="100 features: share of runs of 10,000 rows with any",
        got=with_any,
        bound=0.1,
        quick_bound=0.5,
    )
    changes = (
        ("+1 sd", normal(1.0), 45),
        ("+.5 sd", normal(0.5), 130),
        ("sd x 2", normal(0, 2.0), 40),
        ("sd x 1.5", normal(0, 1.5), 120),
        ("sd / 2", normal(0, 0.5), 90),
    )
    for case, (name, after, bound) in enumerate(changes):
        found = delays(normal(), after, share, max(int(300 * scale), 40), 10 + case)
        yield _delay_figure("1", name, found, bound)


def _delay_figure(case: str, name: str, found: Delays, bound: float) -> Figure:
    note = f"p95 {found.p95:.0f}, missed {found.missed_share:.1%}, early {found.early}"
    return Figure(
        case=case,
        what=f"{name}: mean rows",
        got=found.mean,
        bound=bound,
        quick_bound=1.35 * bound,
        note=note,
    )


def error_cases(scale: float) -> Iterator[Figure]:
    """Cases 2 and 8: a classifier's error, and a burst of it that passes."""
    runs = max(int(1_500 * scale), 150)
    got, half = false_alarms(hits(0.1), 0.1, runs, 20, "error")
    yield Figure(
        case="2",
        what="error .10, asked .1: false alarms per 10,000 rows",
        got=got,
        bound=0.1,
        quick_bound=0.25,
        note=f"± {half:.3f}",
    )
    for case, (old, new, bound) in enumerate(((0.1, 0.2, 220), (0.1, 0.3, 70), (0.05, 0.1, 480))):
        found = delays(
            hits(old), hits(new), 0.1, max(int(1_000 * scale), 150), 21 + case, role="error"
        )
        yield _delay_figure("2", f"error {old:g} to {new:g}", found, bound)
        yield Figure(
            case="2",
            what=f"error {old:g} to {new:g}: missed within 2,000 rows",
            got=found.missed_share,
            bound=0.01,
            quick_bound=0.04,
        )

    def burst(rng: Rng, rows: int) -> Floats:
        return np.concatenate((hits(0.5)(rng, 50), hits(0.1)(rng, rows - 50)))

    found = delays(hits(0.1), burst, 0.1, max(int(800 * scale), 150), 25, role="error", limit=1_000)
    yield Figure(
        case="8",
        what="burst of 50 rows at .5: share of runs that alarm",
        got=1 - found.missed_share,
        bound=0.2,
        quick_bound=0.32,
    )


def memory_cases(scale: float) -> Iterator[Figure]:
    """Case 3: neighbours that resemble each other."""
    got, half = false_alarms(autoregressive(0.7), 0.1, max(int(300 * scale), 40), 30)
    yield Figure(
        case="3",
        what="AR(.7), asked .1: false alarms per 10,000 rows",
        got=got,
        bound=1.0,
        quick_bound=1.0,
        note=f"± {half:.3f}",
    )
    found = delays(
        autoregressive(0.7), autoregressive(0.7, 1.0), one_of(100), max(int(200 * scale), 40), 31
    )
    yield _delay_figure("3", "AR(.7) +1 sd", found, 200)


def tail_cases(scale: float) -> Iterator[Figure]:
    """Case 7: whatever the distribution."""
    for case, (name, draw) in enumerate(TAILS.items()):
        got, half = false_alarms(draw, 0.3, max(int(250 * scale), 40), 70 + case)
        yield Figure(
            case="7",
            what=f"{name}, asked .3: false alarms per 10,000 rows",
            got=got,
            bound=0.6,
            quick_bound=0.9,
            note=f"± {half:.3f}",
        )

    def outlier(rng: Rng, rows: int) -> Floats:
        x = rng.normal(size=rows)
        x[min(1_000, rows - 1)] = 1e6
        return x

    found = delays(outlier, normal(1.0), one_of(100), max(int(200 * scale), 40), 78)
    yield _delay_figure("7", "+1 sd after one value of 1e6", found, 45)


def share_cases(scale: float) -> Iterator[Figure]:
    """Case 10: shares that move a little."""
    share = one_of(1)
    runs = max(int(400 * scale), 60)
    found = delays(hits(0.4), hits(0.5), share, runs, 100)
    yield _delay_figure("10", "share .40 to .50", found, 450)
    found = delays(hits(0.4), hits(0.44), share, runs, 101, quiet_rows=8_000, limit=5_000)
    yield Figure(
        case="10",
        what="share .40 to .44: missed within 5,000 rows",
        got=found.missed_share,
        bound=0.5,
        quick_bound=0.6,
        note=f"mean {found.mean:.0f} rows",
    )


def mixed_cases(scale: float) -> Iterator[Figure]:
    """Everything together, and whether the budget is honest."""
    runs, rows, change_at = max(int(200 * scale), 8), 12_000, 10_000
    before, found_rows, stuck = 0, [], 0
    for run in range(runs):
        found = mixed_run(rng_of(110, run), 0.2, rows, change_at)
        before += sum(row < change_at for _, row, _ in found)
        late = [row for name, row, _ in found if name == "number 0" and row >= change_at]
        found_rows += [late[0] - change_at + 1] if late else []
        told(run + 1, runs, "mixed models", f"{before} false alarms")
        stuck += any(name == "sticks" and change.aspect == "stuck" for name, _, change in found)
    per = before / (runs * change_at / 10_000)
    half = 1.96 * math.sqrt(max(before, 1)) / (runs * change_at / 10_000)
    yield Figure(
        case="all",
        what="100 mixed features and the error, asked .2: false alarms per 10,000",
        got=per,
        bound=0.2,
        quick_bound=0.7,
        note=f"± {half:.3f}, {runs} runs",
    )
    yield Figure(
        case="all",
        what="mixed, +1 sd on one: mean rows",
        got=float(np.mean(found_rows)),
        bound=45,
        quick_bound=60,
        note=f"found in {len(found_rows)} of {runs}",
    )
    yield Figure(
        case="6",
        what="mixed, stuck column not named stuck: share of runs",
        got=1 - stuck / runs,
        bound=0.02,
        quick_bound=0.13,
    )
    for case, asked in enumerate((1.0, 0.3, 0.1)):
        count = max(int(80 * scale), 3)
        alarms = 0
        for run in range(count):
            alarms += len(mixed_run(rng_of(111 + case, run), asked, rows, None))
            told(run + 1, count, f"mixed models, asked {asked:g}", f"{alarms} false alarms")
        per = alarms / (count * rows / 10_000)
        half = 1.96 * math.sqrt(max(alarms, 1)) / (count * rows / 10_000)
        yield Figure(
            case="all",
            what=f"mixed, asked {asked:g}: false alarms per 10,000",
            got=per,
            bound=1.5 * asked,
            quick_bound=4 * asked + 0.6,
            note=f"± {half:.3f}",
        )


CAR_LOAN_FEATURES = (
    "car_value",
    "salary_range",
    "debt_to_income_ratio",
    "loan_length",
    "repaid_loan_on_prev_car",
    "size_of_downpayment",
    "driver_tenure",
)
CAR_LOAN_WORDS = ("salary_range", "size_of_downpayment")
CAR_LOAN_CHANGE = 75_000


def car_loan(name: str) -> dict[str, list[Scalar]]:
    """Return the series of the car-loan model, in the order of its rows."""
    path = ROOT / "examples" / "car_loan" / f"{name}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))

    def value(column: str, text: str) -> Scalar:
        if text == "" or column in CAR_LOAN_WORDS:
            return text or None
        return text == "True" if column == "repaid_loan_on_prev_car" else float(text)

    series = {
        f"feature/{column}": [value(column, row[column]) for row in rows]
        for column in CAR_LOAN_FEATURES
    }
    series["prediction"] = [int(row["y_pred"]) for row in rows]
    series["score"] = [float(row["y_pred_proba"]) for row in rows]
    series["outcome"] = [int(row["repaid"]) for row in rows]
    series["error"] = [row["y_pred"] != row["repaid"] for row in rows]
    return series


def car_loan_changes(name: str) -> dict[str, list[tuple[int, Change]]]:
    """Return the changes of each series at the default budget."""
    series = car_loan(name)
    roles: dict[str, SeriesRole] = {
        "prediction": "prediction",
        "score": "score",
        "outcome": "outcome",
    }
    kinds: list[SeriesRole] = [
        "error" if key == "error" else roles.get(key, "feature") for key in series
    ]
    return {
        key: list(read(new_watch(role, share), series[key]))
        for key, role, share in zip(series, kinds, shares(0.2, kinds), strict=True)
    }


def car_loan_cases(_: float) -> Iterator[Figure]:
    """Cases 4 and 6: a table with a change at row 75,000, and its faulty variant."""
    found = car_loan_changes("car_loan")
    bounds = {
        "feature/car_value": 100,
        "feature/repaid_loan_on_prev_car": 100,
        "feature/loan_length": 300,
        "feature/salary_range": 500,
        "error": 1_100,
    }
    for key, bound in bounds.items():
        rows = [row for row, _ in found[key] if row >= CAR_LOAN_CHANGE]
        got = rows[0] - CAR_LOAN_CHANGE + 1 if rows else math.inf
        yield Figure(
            case="4", what=f"car loan, {key}: rows", got=got, bound=bound, quick_bound=bound
        )
    controls = ("debt_to_income_ratio", "size_of_downpayment", "driver_tenure")
    false = sum(row < CAR_LOAN_CHANGE for rows in found.values() for row, _ in rows)
    false += sum(len(found[f"feature/{key}"]) for key in controls)
    yield Figure(
        case="4",
        what="car loan: alarms before the change and on controls",
        got=false,
        bound=0,
        quick_bound=0,
    )
    faulty = car_loan_changes("car_loan_dq")
    for key in ("salary_range", "driver_tenure"):
        late = [
            row - CAR_LOAN_CHANGE + 1
            for row, change in faulty[f"feature/{key}"]
            if change.aspect == "missing"
        ]
        yield Figure(
            case="6",
            what=f"car loan, {key} missing .10 to .22: rows",
            got=late[0] if late else math.inf,
            bound=150,
            quick_bound=150,
        )
    unseen = [
        row for row, change in faulty["feature/size_of_downpayment"] if change.aspect == "unseen"
    ]
    yield Figure(
        case="6",
        what="car loan, a category never seen: rows late",
        got=unseen[0] - 50_092 if unseen else math.inf,
        bound=0,
        quick_bound=0,
    )


def cost_cases(_: float) -> Iterator[Figure]:
    """Case 9: microseconds a value, everything together."""
    rng = rng_of(120, 0)
    rows = 24_000
    kinds: dict[str, list[Scalar]] = {
        "number": rng.normal(size=rows).tolist(),
        "boolean": (rng.random(rows) < 0.1).tolist(),
        "5 categories": words(rng, rows, 5),
        "12 categories": words(rng, rows, 12),
    }
    for name, values in kinds.items():
        watch = new_watch("feature", 0.001)
        watch.update(values[:4_000])
        start = time.process_time()
        for _change in read(watch, values[4_000:]):
            pass
        per = (time.process_time() - start) / (rows - 4_000) * 1e6
        yield Figure(
            case="9",
            what=f"cost, {name}: microseconds a value in batches of 500",
            got=per,
            bound=1.0,
            quick_bound=3.0,
            note=f"snapshot {len(encode(watch)):,} bytes",
        )


CASES = (
    numeric_cases,
    error_cases,
    memory_cases,
    car_loan_cases,
    tail_cases,
    share_cases,
    cost_cases,
    mixed_cases,
)
