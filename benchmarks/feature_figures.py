"""Figures of `metrics` and alerts that are made of features: errors without labels, and relations.

`benchmarks.performance_figures` runs them. No parameter was chosen on these seeds.
"""

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.detection_cases import read
from benchmarks.findings import Finding
from streams.aspects import SeriesRole
from streams.detect.budget import shares
from streams.performance.error_fit import ErrorRow, fit_errors
from streams.performance.error_model import ErrorEstimator
from streams.series.joint import LEARNT, Joint
from streams.series.offline import profile, watch_of
from streams.series.watch_spec import WatchSpec
from streams.values import Floats, Scalar

_NAMES = [f"f{number}" for number in range(10)]


def regressions() -> Iterator[Finding]:
    """Estimate the error of a regression without labels, where the mix of its cases changes."""
    rng = np.random.default_rng(7_800)
    model = fit_errors([_case(rng, 0.2) for _ in range(20_000)])
    if model is None:
        msg = "20,000 rows make a model"
        raise RuntimeError(msg)
    told = ErrorEstimator(model)
    misses, moves = [], []
    usual = float(np.mean([_case(rng, 0.2).error for _ in range(20_000)]))
    for hard in np.linspace(0.1, 0.7, 12):
        cases = [_case(rng, float(hard)) for _ in range(5_000)]
        realised = float(np.mean([case.error for case in cases]))
        units = [told.expected(case.features, case.prediction) or 0 for case in cases]
        misses.append(abs(float(np.mean(units)) * told.unit - realised) / realised)
        moves.append(abs(usual - realised) / realised)
    got = float(np.mean(misses))
    check = "without labels, a regression, 12 x 5,000 rows of other mixes: MAE"
    expected = f"mean miss <= 3 % (the usual error: {np.mean(moves):.0%})"
    yield Finding(check, expected, f"{got:.1%}", got <= 0.03, "7800")


def _case(rng: np.random.Generator, hard: float) -> ErrorRow:
    """Return a case; the errors of some are three times as large, those of old ones larger."""
    age, is_hard = float(rng.uniform(0, 20)), bool(rng.random() < hard)
    size = (1 + age / 5) * (3 if is_hard else 1)
    features = {"age": age, "kind": "hard" if is_hard else "easy", "other": float(rng.random())}
    return ErrorRow(features, float(rng.normal(100, 20)), abs(float(rng.normal(0, size))))


def relations(runs: int, quiet_rows: int, *, quick: bool) -> Iterator[Finding]:
    """Watch 10 features whose relation changes while each keeps its distribution.

    In the quick form a mean of few runs may be two standard errors above its bound.
    """
    rng = np.random.default_rng(7_900)
    joint = _relation(_related(rng, 2_000, 0.7))

    def values(n: int, relation: float) -> list[Scalar]:
        rows = _related(rng, n, relation).tolist()
        return list(joint.read([dict(zip(_NAMES, row, strict=True)) for row in rows]))

    values(LEARNT, 0.7)
    learnt, quiet = values(2_000, 0.7), values(quiet_rows, 0.7)
    spec, asked = WatchSpec(role="joint", kind="numeric"), 0.1
    alarms = len(list(read(watch_of(spec, profile(spec, learnt, asked)), quiet)))
    check = f"joint: false alarms in 10,000 rows, asked {asked}, {quiet_rows:,} rows"
    rate, most = 10_000 * alarms / quiet_rows, 1.5 * asked
    most += 2 * math.sqrt(most / quiet_rows * 10_000)
    yield Finding(check, "<= .15 (and 2 s.e.)", f"{rate:.3f} ({alarms})", rate <= most, "7900")
    roles: list[SeriesRole] = ["joint", "error"]
    roles.extend("feature" for _ in _NAMES)
    of_ten = profile(spec, learnt, shares(0.2, roles)[0])
    delays = []
    for _ in range(runs):
        found = next(iter(read(watch_of(spec, of_ten), values(3_000, 0.1))), None)
        delays.append(3_000 if found is None else found[0] + 1)
    mean = float(np.mean(delays))
    check = "joint: two of 10 features, correlation .7 to .1: rows until told"
    longest = 250 + (2 * float(np.std(delays)) / math.sqrt(runs) if quick else 0)
    yield Finding(check, "<= 250", f"{mean:,.0f}", mean <= longest, "7900")


def _relation(before: Floats) -> Joint:
    """Return the relation of features whose references are of these rows, still to be learnt."""
    spec, outlines = WatchSpec(role="feature"), []
    for place, name in enumerate(_NAMES):
        outline = watch_of(spec, profile(spec, before[:, place].tolist())).outline
        if outline is not None:
            outlines.append((name, outline))
    joint = Joint.of(outlines)
    if joint is None:
        msg = "10 features have a relation"
        raise RuntimeError(msg)
    return joint


def _related(rng: np.random.Generator, n: int, relation: float) -> Floats:
    """Return rows of 10 normal features, each related to its neighbours, the first two by more."""
    places = np.arange(10)
    covariance = 0.3 ** np.abs(np.subtract.outer(places, places))
    covariance[0, 1] = covariance[1, 0] = relation
    return rng.multivariate_normal(np.zeros(10), covariance, n)
