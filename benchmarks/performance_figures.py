"""Measure the figures of `metrics` against worlds whose truth is known.

    python -m benchmarks.performance_figures            # docs/performance-figures.md, 2 minutes
    python -m benchmarks.performance_figures --quick    # 10 s; fails where a bound is broken

Delays are lognormal or Weibull, errors later than right answers; scores are right, or too sure. No
parameter was chosen on these seeds.
"""

import csv
import gzip
import math
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from agents.demo.car_loan import DATA
from benchmarks.feature_figures import regressions, relations
from benchmarks.findings import Finding, put, table_of
from streams.change import Onset
from streams.clock import DAY_MS
from streams.detect.day_kernel import (
    CELLS,
    DELAYS,
    GROUPS,
    RIGHT,
    RISK_EDGES,
    ROWS,
    SIZE,
    SQUARES,
    SUMS,
    WRONG,
    delay_cell,
)
from streams.performance.calibration import Calibration
from streams.performance.cohort import MONEY, Cohort, CountedOutcome
from streams.performance.estimate import estimate_of
from streams.performance.figures import (
    Positive,
    ScoreRow,
    auc_of,
    calibration_errors,
    reliability_of,
    score_rows,
)
from streams.performance.history import History
from streams.performance.money import Money
from streams.performance.nowcast import Outlook

SEED = 8_300
"""First seed; sections count on from it."""
DAYS, A_DAY, WAIT, CHANGE = 126, 2_000, 45, 80
CHUNK = 5_000
POSITIVE = Positive("1", 1)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class World(NamedTuple):
    """Predictions of some days: day, instant, whether wrong, delay in days and its cell, group."""

    day: Integers
    at: Floats
    is_wrong: NDArray[np.bool_]
    delay: Floats
    cell: Integers
    group: Integers

    def of_day(self, day: int) -> slice:
        """Return the places of the predictions of a day."""
        return slice(day * A_DAY, (day + 1) * A_DAY)


def sigmoid(x: Floats) -> Floats:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-x))


def world(seed: int, law: str = "lognormal", odds: float = 1.6, sureness: float = 1.0) -> World:
    """Live ``DAYS`` days; from ``CHANGE`` on, odds of errors are ``odds`` times the scores'."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(DAYS), A_DAY)
    at = day + rng.random(len(day))
    risk = np.clip(rng.beta(1, 15, len(day)), 1e-3, 0.9)
    logit = np.log(risk / (1 - risk))
    is_wrong = rng.random(len(day)) < sigmoid(logit + math.log(odds) * (day >= CHANGE))
    spread = np.exp(np.where(is_wrong, 0.6, 0.5) * rng.normal(size=len(day)))
    if law == "weibull":
        spread = 1.2 * rng.weibull(1.5, len(day))
    delay = np.where(is_wrong, 12.0, 4.0) * spread
    delay[(rng.random(len(day)) < 0.08) | (delay >= WAIT)] = np.inf
    told = sigmoid(sureness * logit)
    group = np.searchsorted(RISK_EDGES, told, "right")  # as `risk_group` of a positive answer
    cell = np.array([delay_cell(float(each) * DAY_MS) for each in np.minimum(delay, 1e5)])
    return World(day, at, is_wrong, delay, cell, group)


def history_of(lived: World, now: int) -> History:
    """Return the history of a world as a ledger would have it at a midnight."""
    history = History()
    for start in range(now):
        day = lived.of_day(start)
        group, cell, wrong = lived.group[day], lived.cell[day], lived.is_wrong[day]
        known = lived.at[day] + lived.delay[day] <= now
        counts = np.zeros(SIZE, np.float32)
        counts[:GROUPS] = np.bincount(group, minlength=GROUPS)
        for place, is_wrong in ((RIGHT, False), (WRONG, True)):
            rows = known & (wrong == is_wrong)
            counts[place : place + GROUPS] = np.bincount(group[rows], minlength=GROUPS)
            delays = DELAYS + CELLS * is_wrong
            counts[delays : delays + CELLS] = np.bincount(cell[rows], minlength=CELLS)
        history._open[start * DAY_MS] = counts
    history.advance(now * DAY_MS, WAIT * DAY_MS)
    return history


def nowcasts(worlds: int, every: int) -> Iterator[Finding]:
    """Compare the error that is said of a day with the one that it has."""
    kinds: tuple[tuple[str, str, float, float], ...] = (
        ("nothing changes", "lognormal", 1.0, 1.0),
        ("odds x 1.6 from day 80", "lognormal", 1.6, 1.0),
        ("the same, Weibull delays", "weibull", 1.6, 1.0),
        ("the same, scores too sure", "lognormal", 1.6, 1.7),
    )
    bounds = {0: 1.2, 3: 1.1, 8: 0.6, 20: 0.4}
    for name, law, odds, sureness in kinds:
        errors: dict[int, list[tuple[float, bool]]] = {age: [] for age in bounds}
        for seed in range(SEED, SEED + worlds):
            lived = world(seed, law, odds, sureness)
            truth = np.bincount(lived.day, weights=lived.is_wrong) / A_DAY
            for now in range(CHANGE + 5, DAYS, every):
                outlook = Outlook(history_of(lived, now), now * DAY_MS, WAIT * DAY_MS)
                for age in bounds:
                    day = now - 1 - age
                    if day < CHANGE:
                        continue
                    place = outlook.starts.index(day * DAY_MS)
                    counts = outlook.counts[place].astype(np.float64)
                    said = outlook.view(day * DAY_MS, (day + 1) * DAY_MS, counts).nowcast
                    if said is not None:
                        miss = 100 * (said.error - truth[day])
                        errors[age].append((miss, said.low <= truth[day] <= said.high))
        for age, most in bounds.items():
            misses = np.array([miss for miss, _ in errors[age]])
            bias, rmse = float(misses.mean()), float(np.sqrt((misses**2).mean()))
            covers = float(np.mean([is_in for _, is_in in errors[age]]))
            is_met = abs(bias) <= 0.2 and rmse <= most and covers >= 0.8
            yield Finding(
                f"nowcast, {name}, {age} days old ({len(misses)} days)",
                f"bias <= .2 points, RMSE <= {most:g}, 90 % covers >= .8",
                f"{bias:+.2f}, {rmse:.2f}, {covers:.2f}",
                is_met,
                f"{SEED} to {SEED + worlds - 1}",
            )


def losses(worlds: int) -> Iterator[Finding]:
    """Compare the money that is said to be lost since an onset with the money lost."""
    backs = (3, 7, 14, 30)
    found: dict[int, list[tuple[float, float, bool]]] = {back: [] for back in backs}
    first = SEED + 100
    for seed in range(first, first + worlds):
        lived = world(seed)
        cost = np.where(
            lived.is_wrong, 100 * np.random.default_rng(seed).exponential(size=len(lived.day)), 0.0
        )
        usual, money = cost[lived.day < CHANGE].mean(), Money()
        for now in (CHANGE + 1, *(CHANGE + back for back in backs)):
            _fill(money, lived, cost, now)
            outlook = Outlook(history_of(lived, now), now * DAY_MS, WAIT * DAY_MS)
            money.advance(outlook)
            if now == CHANGE + 1:
                continue
            loss = money.loss_since(Onset(CHANGE * DAY_MS, is_of_outcomes=False), now * DAY_MS)
            since = (lived.day >= CHANGE) & (lived.day < now)
            true = float(cost[since].sum() - since.sum() * usual)
            if loss.lost is not None and loss.low is not None and loss.high is not None:
                found[now - CHANGE].append((loss.lost, true, loss.low <= true <= loss.high))
    for back, rows in found.items():
        seeds = f"{first} to {first + worlds - 1}"
        if not rows:
            yield Finding(f"value at risk, {back} days after", "", "not known yet", True, seeds)
            continue
        said, truth = np.array([each[0] for each in rows]), np.array([each[1] for each in rows])
        off = float(said.mean() / truth.mean() - 1)
        covers, wrong = float(np.mean([each[2] for each in rows])), int((said < 0).sum())
        is_met = back < 7 or (abs(off) <= 0.07 and not wrong and (back < 14 or covers >= 0.9))
        expected = "" if back < 7 else "within 7 %, never of the wrong sign"
        expected += ", 95 % covers >= .9" if back >= 14 else ""
        got = f"{off:+.1%}, {wrong} of {len(rows)} wrong, covers {covers:.2f}"
        yield Finding(f"value at risk, {back} days after the onset", expected, got, is_met, seeds)


def _fill(money: Money, lived: World, cost: Floats, now: int) -> None:
    """Add the outcomes of a world that are known at a midnight, of the days that are open."""
    begun = int(len(money._mature) > 0) * (CHANGE - WAIT)
    for start in range(max(begun, 0), now):
        if start < now - WAIT - 1 and len(money._mature):
            continue
        sums, day = np.zeros(SUMS), lived.of_day(start)
        known = lived.at[day] + lived.delay[day] <= now
        for is_wrong in (False, True):
            rows = known & (lived.is_wrong[day] == is_wrong)
            place = GROUPS * is_wrong
            of_group = lived.group[day][rows]
            gained = -np.round(cost[day][rows] * MONEY) / MONEY
            sums[place : place + GROUPS] = np.bincount(of_group, gained, GROUPS)
            sums[SQUARES : SQUARES + GROUPS] += np.bincount(of_group, gained**2, GROUPS)
            sums[ROWS + place : ROWS + place + GROUPS] = np.bincount(of_group, minlength=GROUPS)
        money._days[start * DAY_MS] = sums.astype(np.float32)


def rows_of(scores: Floats, hits: NDArray[np.bool_]) -> list[ScoreRow]:
    """Return answers by score."""
    distinct, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, weights=hits)
    others = np.bincount(place) - positives
    both = zip(distinct.tolist(), positives.tolist(), others.tolist(), strict=True)
    return [ScoreRow(score, int(p), int(o)) for score, p, o in both]


def exact_auc(scores: Floats, hits: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, from all scores."""
    auc, _ = auc_of(rows_of(scores, hits)) or (math.nan, 0.0)
    return auc


def ranks(n: int) -> Iterator[Finding]:
    """Compare the AUC by cells with the exact one."""
    rng = np.random.default_rng(SEED + 200)
    for name, a, b in (("beta(1, 4)", 1, 4), ("beta(.3, 3)", 0.3, 3), ("beta(2, 2)", 2, 2)):
        scores = rng.beta(a, b, n)
        hits = rng.random(n) < scores
        counts = Cohort()
        for score, hit in zip(scores.tolist(), hits.tolist(), strict=True):
            counts.on_prediction(score, 1)
            counts.on_outcome(CountedOutcome(score, 1, int(hit), not hit, None, 0, "label"))
        auc, bound = auc_of(score_rows(counts.scores, POSITIVE)) or (math.nan, 0.0)
        off = abs(auc - exact_auc(scores, hits))
        yield Finding(
            f"AUC by cells, {name}, {n:,} scores", f"within its bound, {bound:.1e}",
            f"{off:.1e}", off <= bound, str(SEED + 200),
        )  # fmt: skip


def chance(runs: int) -> Iterator[Finding]:
    """Compare the calibration error of perfect scores with what is said of it."""
    rng = np.random.default_rng(SEED + 300)
    for n in (500, 2_000):
        got, said = [], []
        for _ in range(runs):
            scores = rng.beta(1, 6, n)
            error, by_chance = calibration_errors(
                reliability_of(rows_of(scores, rng.random(n) < scores))
            ) or (0.0, 0.0)
            got.append(error)
            said.append(by_chance)
        off = float(np.mean(said) / np.mean(got) - 1)
        yield Finding(
            f"ECE by chance, {n} rows", "within 5 %", f"{off:+.1%}", abs(off) <= 0.05,
            str(SEED + 300),
        )  # fmt: skip


def alarms(rows: int) -> Iterator[Finding]:
    """Count false alarms of the calibration, and rows until a change is told."""
    rng = np.random.default_rng(SEED + 400)
    for name, a, b in (("beta(2, 20)", 2, 20), ("beta(8, 2)", 8, 2), ("beta(.4, .6)", 0.4, 0.6)):
        calibration, false, judged = Calibration(), 0, 0
        for day in range(rows // 200):
            scores = np.round(rng.beta(a, b, 200), 3)
            step = calibration.on_day(day, rows_of(scores, rng.random(200) < scores), 0.5)
            judged += 200 * calibration.is_judging
            if step is not None:
                false += 1
                calibration.accept()
        rate = 10_000 * false / max(judged, 1)
        yield Finding(
            f"calibration, {name}: false alarms in 10,000 rows, asked .5", "<= .5",
            f"{rate:.3f} ({false})", rate <= 0.5, str(SEED + 400),
        )  # fmt: skip
    for name, shift, slope, most in (
        ("odds x 1.5", math.log(1.5), 1.0, 0),
        ("too sure by 1.5", 0.0, 1 / 1.5, 500),
    ):
        told = [_told_after(rng, shift, slope) for _ in range(20)]
        mean = float(np.mean(told))
        yield Finding(
            f"calibration, {name}: rows until told, days of 200", f"<= {most:,}" if most else "",
            f"{mean:,.0f}", not most or mean <= most, str(SEED + 400),
        )  # fmt: skip


def _told_after(rng: np.random.Generator, shift: float, slope: float) -> int:
    calibration = Calibration()
    for day in range(200):
        scores = np.clip(np.round(rng.beta(1, 6, 200), 3), 0.001, 0.999)
        logit = np.log(scores / (1 - scores))
        meant = scores if day < 40 else sigmoid(shift + slope * logit)
        step = calibration.on_day(day, rows_of(scores, rng.random(200) < meant), 0.08)
        if step is not None and day >= 40:
            return 200 * (day - 39)
    return 200 * 160


class Real(NamedTuple):
    """A data set: scores, answers and truths in order; rows to learn from, and rows in all."""

    name: str
    path: Path
    columns: tuple[str, str, str]
    learnt: int
    rows: int
    bounds: tuple[float, float, float]


CENSUS = Path(__file__).parent / "data" / "census.csv.gz"
REAL = (
    Real(
        "car loan", DATA, ("y_pred_proba", "y_pred", "repaid"), 50_000, 100_000,
        (0.0036, 0.0026, 0.0031),
    ),
    Real(
        "census", CENSUS, ("score", "prediction", "employed"), 68_785, 68_785 + 41 * CHUNK,
        (0.0056, 0.0045, 0.0071),
    ),
)  # fmt: skip


def estimates() -> Iterator[Finding]:
    """Compare estimates without labels with the realised figures of real rows."""
    for real in REAL:
        with gzip.open(real.path, "rt", encoding="utf-8", newline="") as file:
            score, answer, truth = real.columns
            rows = [
                (float(row[score]), int(row[answer]), int(row[truth]))
                for row in islice(csv.DictReader(file), real.rows)
            ]
        calibration = Calibration()
        for first in range(0, real.learnt, 500):
            part = rows[first : min(first + 500, real.learnt)]
            scores, _, truths = (np.array(each) for each in zip(*part, strict=True))
            calibration.on_day(first, rows_of(scores, truths == 1), 0.015)
        chunks = [
            _missed(calibration, rows[first : first + CHUNK])
            for first in range(real.learnt, real.rows, CHUNK)
        ]
        names = zip(("accuracy", "AUC", "F1"), real.bounds, strict=True)
        for (name, most), off in zip(names, np.mean(chunks, axis=0).tolist(), strict=True):
            yield Finding(
                f"without labels, {real.name}, {len(chunks)} x {CHUNK:,} rows: {name}",
                f"mean miss <= {most:g}", f"{off:.4f}", off <= most, "real rows",
            )  # fmt: skip


def _missed(calibration: Calibration, chunk: list[tuple[float, int, int]]) -> list[float]:
    """Return by how much the estimate misses the error, the AUC and F1 of a chunk."""
    counts = Cohort()
    for score, answer, _ in chunk:
        counts.on_prediction(score, answer)
    told = estimate_of(counts.scores, POSITIVE, calibration.map, calibration.version)
    if told is None or told.error is None or told.auc is None or told.f1 is None:
        return [math.nan] * 3
    scores, answers, truth = (np.array(each) for each in zip(*chunk, strict=True))
    hits = int(((answers == 1) & (truth == 1)).sum())
    f1 = 2 * hits / int((answers == 1).sum() + (truth == 1).sum())
    realised = float((answers != truth).mean()), exact_auc(scores, truth == 1), f1
    said = told.error, told.auc, told.f1
    return [abs(one - other) for one, other in zip(said, realised, strict=True)]


@click.command()
@click.option("--quick", is_flag=True, help="A small form, which writes no page.")
def main(*, quick: bool) -> None:
    """Measure the figures; write the page, or fail where a bound is broken."""
    began = time.process_time()
    sections = [
        ranks(5_000 if quick else 50_000),
        chance(60 if quick else 400),
        estimates(),
        alarms(40_000 if quick else 400_000),
        regressions(),
        relations(10 if quick else 60, 20_000 if quick else 200_000, quick=quick),
    ]
    if not quick:  # too few worlds would tell nothing
        sections += [nowcasts(16, 4), losses(120)]
    findings = []
    for section in sections:
        for finding in section:
            findings.append(finding)
            click.echo(f"{'ok ' if finding.is_met else 'NO '} {finding.check}: {finding.got}")
    if not quick:
        made = f"Made by `make bench-figures` ({time.process_time() - began:.0f} s of one core)."
        put("figures", [made, "", *table_of(findings)])
    sys.exit(quick and any(not each.is_met for each in findings))


if __name__ == "__main__":
    main()
