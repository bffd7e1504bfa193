"""The promises of the loop, measured on seeds that nothing was tuned on.

    .venv/bin/python -m benchmarks.loop                    # docs/performance-figures.md
    .venv/bin/python -m benchmarks.loop --runs 100 --seed 1  # writes no page

Challengers: how often one that is no better is promoted while it is looked at after each pair, by
errors and by money, and in a world whose late labels favour it; pairs needed against a fixed
design. Reviews: bias and
coverage of the weighted error, and the quota of a day. Leases: whether a consumer of commands ever
begins one twice or after its end.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.findings import Finding, put, table_of
from examples.consumer import Consumer, Note
from schemas.model_spec import ReviewRules
from schemas.wire import to_rfc3339
from streams.action.challenge import BETS, Scale
from streams.action.review import Period, Reviews, Stratum, StratumSums, estimate
from streams.clock import DAY_MS

ALPHA = 0.05
PAIRS = 10_000


class Check(NamedTuple):
    """One promise: its figure, and its bound."""

    name: str
    figure: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the figure keeps to its bound."""
        return self.figure <= self.bound


def two_errors(share: float, runs: int) -> float:
    """Return two standard errors of a share."""
    return 2 * math.sqrt(share * (1 - share) / runs)


def first_pass(d: np.ndarray, limit: float) -> int | None:
    """Return the pair at which evidence passes its limit: only pairs that differ move it."""
    at = np.flatnonzero(d)
    logs = np.cumsum(np.log1p(np.outer(d[at], BETS)), axis=0)
    hits = np.flatnonzero(np.exp(logs).mean(axis=1) >= limit)
    return int(at[hits[0]]) + 1 if len(hits) else None


def peeked(rng: np.random.Generator, runs: int) -> list[Check]:
    """Look after every pair at a challenger that is no better, by errors and by money."""
    draws: dict[str, Callable[[int], np.ndarray]] = {
        "errors": np.ones,
        "money, exponential": lambda n: rng.exponential(2.0, n),
        "money, Pareto 1.5": lambda n: rng.pareto(1.5, n),
    }
    checks = []
    for name, draw in draws.items():
        passed = 0
        for run in range(runs):
            share = (0.005, 0.03, 0.15)[run % 3]
            d = rng.choice([-1, 0, 1], PAIRS, p=[share, 1 - 2 * share, share]) * draw(PAIRS)
            passed += first_pass(d if name == "errors" else scaled(d), 1 / ALPHA) is not None
        check = (
            f"challenger, {name}: promoted though no better, {runs:,} x {PAIRS:,} pairs looked at"
        )
        checks.append(Check(check, passed / runs, ALPHA))
    return checks


def scaled(amounts: np.ndarray) -> np.ndarray:
    """Return amounts from -1 to 1; those that the scale is taken from do not count."""
    scale, out = Scale(), np.zeros(len(amounts))
    for place in np.flatnonzero(amounts).tolist():
        out[place] = scale.scaled(float(amounts[place])) or 0.0
    return out


def late_labels(rng: np.random.Generator, runs: int) -> Check:
    """Late labels favour the challenger: it is better on early cases, worse on late ones."""
    days, a_day, promoted = 60, 500, 0
    for _ in range(runs):
        day = np.repeat(np.arange(days), a_day)
        slow = rng.random(len(day)) < 0.06
        worse, better = rng.random(len(day)) < 0.33, rng.random(len(day)) < 0.02
        d = np.where(slow, -1.0 * worse, 1.0 * better)
        delay = np.where(slow, rng.weibull(1.5, len(day)) * 14, rng.weibull(1.5, len(day)) * 4)
        known = (delay <= 30) & (day + 30 < days)
        counted = d[known][np.argsort(day[known], kind="stable")]
        promoted += first_pass(counted, 1 / ALPHA) is not None
    bound = ALPHA + two_errors(ALPHA, runs)
    return Check("challenger, promoted by late labels, counted by days", promoted / runs, bound)


def needed(rng: np.random.Generator, runs: int) -> Check:
    """Pairs needed for 10 % against 8 % of errors, as a multiple of a fixed design's."""
    fixed, most, took = 1_231, 12_000, []
    for _ in range(runs):
        d = rng.choice([-1, 0, 1], most, p=[0.03, 0.92, 0.05])
        took.append(first_pass(d, 1 / ALPHA) or most)
    multiple = float(np.mean(took)) / fixed
    return Check("challenger, 10 % against 8 %: mean pairs, of a fixed design's", multiple, 1.5)


def weighted(rng: np.random.Generator, runs: int, sample: float) -> list[Check]:
    """Weigh verdicts where the score does not show that odds are 1.6 times as high."""
    errors, covered, n = [], 0, 5_000
    for _ in range(runs):
        risk = np.clip(rng.beta(1, 15, n), 1e-3, 0.9)
        odds = 1.6 * risk / (1 - risk)
        wrong = rng.random(n) < odds / (1 + odds)
        drawn = rng.random(n)
        period = Period(0, 1, n, float(risk.sum()))
        for row in np.flatnonzero(drawn < np.where(risk > 0.2, 1.0, sample)):
            stratum: Stratum = "uncertain" if risk[row] > 0.2 else "sample"
            sums = period.strata.setdefault(stratum, StratumSums())
            sums.chosen += 1
            probability = 1.0 if stratum == "uncertain" else sample
            sums.add(float(wrong[row]) - float(risk[row]), probability, 1)
        found = estimate(period)
        if found is not None:
            errors.append(100 * (found.error - float(wrong.mean())))
            covered += found.low <= wrong.mean() <= found.high
    bias = abs(float(np.mean(errors)))
    noise = 2 * float(np.std(errors)) / math.sqrt(runs)
    least = 0.88 if sample < 0.05 else 0.93
    return [
        Check(f"AIPW, {sample:.0%} drawn, {runs} runs: bias in points", bias, 0.1 + noise),
        Check(
            f"AIPW, {sample:.0%} drawn, {runs} runs: intervals that miss",
            1 - covered / runs,
            1 - least + two_errors(least, runs),
        ),
    ]


def quota(rng: np.random.Generator, days: int) -> Check:
    """Measure the largest distance of a day from its quota, from the second day on."""
    rules, state, worst = ReviewRules(per_day=2_000, sample=0.1), Reviews(), 0.0
    for day in range(days):
        asked = 0
        for row, risk in enumerate(np.where(rng.random(20_000) < 0.2, 0.5, 0.1)):
            now_ms = (20_500 + day) * DAY_MS + 4_000 * row
            asked += state.choose(f"m/{day}-{row}", float(risk), now_ms, rules) is not None
        worst = max(worst, abs(asked / rules.per_day - 1)) if day else worst
    return Check("reviews, distance of a day from its quota", worst, 0.05)


def lease_of(sequence: int) -> dict[str, Any]:
    """Return a lease of half a minute; a new one comes every 10 s, and renews the last."""
    return {
        "sequence": sequence,
        "expires_at": to_rfc3339(1_000 * ends_s(sequence)),
        "supersedes": "the one before" if sequence > 1 else None,
    }


def ends_s(sequence: int) -> int:
    """Return the second at which a lease ends."""
    return 10 * sequence + 20


def leases(seed: int, runs: int) -> Check:
    """Count leases begun twice, after their end, or held beyond it: copies, disorder, silence."""
    wrong = 0
    for run in range(runs):
        chance, notes = random.Random(seed + run), dict[str, Note]()
        begun: list[int] = []
        consumer = Consumer(notes, lambda each: begun.append(each["sequence"]), lambda _key: None)  # noqa: B023 - within its run
        for now_s in range(300):
            said = min(now_s // 10 + 1, 15)
            for sequence in chance.choices(range(1, said + 1), k=2):
                before = len(begun)
                consumer.take("m|fallback", lease_of(sequence), float(now_s))
                wrong += len(begun) > before and now_s >= ends_s(sequence)
            consumer.pass_time(float(now_s))
        wrong += len(begun) != len(set(begun))
        wrong += any(note.holds for note in notes.values())
    return Check("leases begun twice, too late or held too long", float(wrong), 0.0)


def main() -> int:
    """Measure, print, and return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20_261_130)
    options = parser.parse_args()
    rng, runs = np.random.default_rng(options.seed), options.runs
    few = max(20, runs // 4)
    parts: tuple[Callable[[], list[Check]], ...] = (
        lambda: [*peeked(rng, 5 * runs), late_labels(rng, few), needed(rng, few)],
        lambda: [*weighted(rng, runs, 0.02), *weighted(rng, runs, 0.1), quota(rng, 5)],
        lambda: [leases(options.seed, few)],
    )
    findings, seeds = [], str(options.seed)
    for part in parts:
        for check in part():
            expected, got = f"<= {check.bound:.4f}", f"{check.figure:.4f}"
            findings.append(Finding(check.name, expected, got, check.holds, seeds))
            print(table_of(findings)[-1], flush=True)
    if options == parser.parse_args([]):
        put("loop", table_of(findings))
    return int(not all(each.is_met for each in findings))


if __name__ == "__main__":
    sys.exit(main())
