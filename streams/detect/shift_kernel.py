"""The shift of a day's errors that its scores do not show, compiled."""

import math

import numpy as np

from streams.detect.compiled import Singles, compiled
from streams.values import Floats

STEP = 0.15
"""Standard deviation of the change of the shift, in logits, from one day to the next: the odds of
an error move by 15 % a day without a reason. Simulated on worlds with and without a change."""
JUMP = 1.0
"""Standard deviation of a jump: a fault multiplies the odds of an error by 2.7, or divides them."""
JUMP_NATS = 5.0
"""Log-likelihood that a jump must gain: ln(JUMP / STEP) for the wider law, and ln 22 for one jump
in three weeks. With one in a hundred days the money since an onset is lower by 1.5 % on day 7."""
MOST = 3.0
"""Largest shift, in logits: odds x 20."""
_NEWTON = 12
_CLOSE = 1e-6
"""Newton's method converges in 3 to 6 steps; it ends where a step is this small."""


@compiled
def _fit(
    day: Singles, base: Floats, unknown: Floats, prior: float, variance: float
) -> tuple[float, float, float]:
    """Return the shift of one day, the curvature there, and the penalised log-likelihood."""
    groups = len(base)
    right, wrong = unknown[0], unknown[1]
    shift = prior
    curvature = value = 0.0
    for _ in range(_NEWTON):
        slope = -(shift - prior) / variance
        curvature = 1.0 / variance
        value = -((shift - prior) ** 2) / (2.0 * variance)
        for group in range(groups):
            errors, rights = day[2 * groups + group], day[groups + group]
            opened = max(day[group] - errors - rights, 0.0)
            p = 1.0 / (1.0 + math.exp(-(base[group] + shift)))
            spread = p * (1.0 - p)
            all_open = max(p * wrong + (1.0 - p) * right, 1e-12)
            tilt = spread * (wrong - right) / all_open
            slope += errors * (1.0 - p) - rights * p + opened * tilt
            curvature += (errors + rights) * spread + opened * tilt * tilt
            value += errors * math.log(p) + rights * math.log(1.0 - p)
            value += opened * math.log(all_open)
        step = slope / curvature
        shift = min(max(shift + step, -MOST), MOST)
        if abs(step) < _CLOSE:
            break
    return shift, curvature, value


@compiled
def follow_shift(days: Singles, base: Floats, unknown: Floats, out: Floats) -> None:
    """Follow the shift over days, oldest first, and back (Rauch, Tung and Striebel 1965).

    Parameters
    ----------
    days
        One row a day: answers, right ones and errors, by risk group.
    base
        The logit of the usual share of errors, by group.
    unknown
        One row a day: the share of right answers, and of errors, that is not known yet.
    out
        Receives one row a day: the shift, and its variance.
    """
    shift, variance = 0.0, STEP * STEP
    steps = np.empty(len(days))
    for place in range(len(days)):
        prior = variance + STEP * STEP
        found, curvature, value = _fit(days[place], base, unknown[place], shift, prior)
        wide = variance + JUMP * JUMP
        jumped, wide_curvature, wide_value = _fit(days[place], base, unknown[place], shift, wide)
        steps[place] = STEP * STEP
        if wide_value > value + JUMP_NATS:
            found, curvature = jumped, wide_curvature
            steps[place] = JUMP * JUMP
        shift, variance = found, 1.0 / curvature
        out[place, 0], out[place, 1] = shift, variance
    for place in range(len(days) - 2, -1, -1):
        step, known = steps[place + 1], out[place, 1]
        part = known / (known + step)
        out[place, 0] += part * (out[place + 1, 0] - out[place, 0])
        out[place, 1] += part * part * (out[place + 1, 1] - known - step)
