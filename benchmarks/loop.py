"""The promises of the loop, measured on seeds that nothing was tuned on.

    .venv/bin/python -m benchmarks.loop [--runs 400] [--seed 20261130]

Challengers: how often one that is no better is promoted while it is looked at after each day, and
in a world whose late labels favour it; pairs needed against a fixed design. Reviews: bias and
coverage of the weighted error, and the quota of a day. Leases: whether a consumer of commands ever
begins one twice or after its end.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from examples.consumer import Consumer, Note
from schemas.model_spec import ReviewRules
from schemas.wire import to_rfc3339
from streams.action.challenge import BETS
from streams.action.review import Period, Reviews, Stratum, StratumSums, estimate
from streams.clock import DAY_MS

ALPHA = 0.05
PAIRS = 10_000
LOGS_UP, LOGS_DOWN = np.log1p(BETS), np.log1p(-np.array(BETS))


class Check:
    """One promise: its figure, its bound, and whether it holds."""

    def __init__(self, name: str, figure: float, bound: float) -> None:
        self.line = f"{name:<58} {figure:9.4f}   at most {bound:.4f}"
        self.holds = figure <= bound


def two_errors(share: float, runs: int) -> float:
    """Return two standard errors of a share."""
    return 2 * math.sqrt(share * (1 - share) / runs)


def wealth(d: np.ndarray) -> np.ndarray:
    """Return the evidence after each pair of a run that differs, and its place."""
    at = np.flatnonzero(d)
    ups, downs = np.cumsum(d[at] > 0), np.cumsum(d[at] < 0)
    out = np.exp(np.outer(ups, LOGS_UP) + np.outer(downs, LOGS_DOWN)).mean(1)
    return np.stack([at + 1, out])


def first_pass(d: np.ndarray, limit: float) -> int | None:
    """Return the pair at which evidence passes its limit."""
    places, evidence = wealth(d)
    hits = np.flatnonzero(evidence >= limit)
    return int(places[hits[0]]) if len(hits) else None


def peeked(rng: np.random.Generator, runs: int) -> Check:
    """Look after every pair at a challenger that is no better."""
    passed = 0
    for run in range(runs):
        share = (0.005, 0.03, 0.15)[run % 3]
        d = rng.choice([-1, 0, 1], PAIRS, p=[share, 1 - 2 * share, share])
        passed += first_pass(d, 1 / ALPHA) is not None
    return Check(
        "promoted though no better, looked at always",
        passed / runs,
        ALPHA + two_errors(ALPHA, runs),
    )


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
    return Check(
        "promoted by late labels, counted by days", promoted / runs, ALPHA + two_errors(ALPHA, runs)
    )


def needed(rng: np.random.Generator, runs: int) -> Check:
    """Pairs needed for 10 % against 8 % of errors, as a multiple of a fixed design's."""
    fixed, most, took = 1_231, 12_000, []
    for _ in range(runs):
        d = rng.choice([-1, 0, 1], most, p=[0.03, 0.92, 0.05])
        took.append(first_pass(d, 1 / ALPHA) or most)
    return Check("mean pairs, as a multiple of a fixed design's", float(np.mean(took)) / fixed, 1.5)


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
        Check(f"bias of the weighted error at {sample:.0%}, in points", bias, 0.1 + noise),
        Check(
            f"intervals that miss at {sample:.0%}",
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
    return Check("distance of a day from its quota of reviews", worst, 0.05)


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
        lambda: [peeked(rng, runs), late_labels(rng, few), needed(rng, few)],
        lambda: [*weighted(rng, runs, 0.02), *weighted(rng, runs, 0.1), quota(rng, 5)],
        lambda: [leases(options.seed, few)],
    )
    broken = 0
    for part in parts:
        for check in part():
            print(check.line, "" if check.holds else "  BROKEN", flush=True)
            broken += not check.holds
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
