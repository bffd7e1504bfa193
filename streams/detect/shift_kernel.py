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
JUMP_NATS = 3.0
"""Log-likelihood that a jump must gain: ln(JUMP / STEP) for the wider law, and ln 3. With 5, the
money since an onset is lower by 4 % on the seventh day, and nothing else is better."""
_MOST_JUMPS = 3
"""Jumps that are followed, at most: two faults and a return within the wait for outcomes."""
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

    A jump shows in the days after it together. So the place is sought where the days from it on say
    something else than those before it, and the shift is followed once more with a jump there.

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
    before = np.full((len(days), 3), STEP * STEP)
    for _ in range(_MOST_JUMPS):
        _follow(days, base, unknown, before, out)
        place = _jump(before, out)
        if place < 0:
            return
        before[place, 2] = JUMP * JUMP
    _follow(days, base, unknown, before, out)


@compiled
def _follow(days: Singles, base: Floats, unknown: Floats, before: Floats, out: Floats) -> None:
    """Follow the shift; ``before`` has each day's shift before it, its variance, and its step's."""
    shift, variance = 0.0, STEP * STEP
    for place in range(len(days)):
        before[place, 0], before[place, 1] = shift, variance + before[place, 2]
        found, curvature, _ = _fit(days[place], base, unknown[place], shift, before[place, 1])
        shift, variance = found, 1.0 / curvature
        out[place, 0], out[place, 1] = shift, variance
    for place in range(len(days) - 2, -1, -1):
        known, later = out[place, 1], before[place + 1, 1]
        part = known / later
        out[place, 0] += part * (out[place + 1, 0] - out[place, 0])
        out[place, 1] += part * part * (out[place + 1, 1] - later)


@compiled
def _jump(before: Floats, out: Floats) -> int:
    """Return the day from which on the days contradict those before it the most; -1 is none."""
    best, most = -1, JUMP_NATS
    for place in range(1, len(out)):
        usual, variance = before[place, 0], before[place, 1]
        information = 1.0 / out[place, 1] - 1.0 / variance  # of this day and those after it
        if information <= 0.0 or variance > JUMP * JUMP:
            continue
        later = (out[place, 0] / out[place, 1] - usual / variance) / information
        nats = (later - usual) ** 2 / (variance + 1.0 / information) / 2.0
        if nats > most:
            best, most = place, nats
    return best
