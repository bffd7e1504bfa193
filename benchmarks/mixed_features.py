"""Features of the mixed streams: numbers and words of many kinds, each with a disturbance."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

SHIFTS = (-1.0, 0.25, 0.5, 1.0, 3.0)
"""Sizes of a change, in standard deviations."""

Value = bool | int | float | str | None
Draw = Callable[[float, float], Value]
"""Returns a value, given the amount of a change, from 0 to 1, and the hour of the day."""
Disturbance = Literal["none", "shift", "missing", "absent", "type", "stuck", "unseen"]
DISTURBANCES: tuple[Disturbance, ...] = (
    *("none", "none", "shift", "shift", "shift"),
    *("missing", "absent", "type", "stuck", "unseen"),
)
"""The disturbances to draw from; the frequent ones stand here more than once."""


class Spell(NamedTuple):
    """Rows with a change, from ``first`` up to ``end``; on a ramp it grows from 0 to 1."""

    first: int
    end: int
    is_ramp: bool = False


class Trend:
    """When a change is present: it stays, grows slowly, or comes and goes.

    It begins after 40 % of the rows at the earliest: the references are learnt by then.
    """

    def __init__(self, rng: random.Random, rows: int) -> None:
        shape = rng.choice(("stays", "ramp", "visits", "flaps"))
        first = rng.randrange(rows * 4 // 10, rows * 3 // 4)
        self._spells = [Spell(first, rows, shape == "ramp")]
        if shape in {"visits", "flaps"}:
            length, rest = (rows // 12, rows // 10) if shape == "visits" else (150, 350)
            starts = range(first, rows, length + rest)
            self._spells = [Spell(start, start + length) for start in starts[:4]]

    def amount(self, row: int) -> float:
        """Return the amount of the change, from 0 to 1."""
        for first, end, is_ramp in self._spells:
            if first <= row < end:
                return (row - first) / (end - first) if is_ramp else 1.0
        return 0.0

    def share(self, row: int, usual: float, then: float) -> float:
        """Return a probability that moves from ``usual`` to ``then``."""
        return usual + (then - usual) * self.amount(row)


def _normal(rng: random.Random) -> Draw:
    mean, sd, size = rng.uniform(-50, 500), rng.uniform(0.5, 80), rng.choice(SHIFTS)
    return lambda amount, _: rng.gauss(mean + amount * size * sd, sd)


def _spread(rng: random.Random) -> Draw:
    factor = rng.choice((0.4, 1.5, 2.0))
    return lambda amount, _: rng.gauss(0.0, 1.0 + amount * (factor - 1.0))


def _lognormal(rng: random.Random) -> Draw:
    size = rng.choice(SHIFTS)
    return lambda amount, _: round(math.exp(rng.gauss(3.0 + amount * size, 1.0)), 2)


def _cauchy(rng: random.Random) -> Draw:
    size = rng.choice(SHIFTS)
    return lambda amount, _: rng.gauss(amount * size, 1.0) / max(abs(rng.gauss(0.0, 1.0)), 1e-6)


def _autoregressive(rng: random.Random) -> Draw:
    size, last = rng.choice(SHIFTS), 0.0

    def draw(amount: float, _: float) -> Value:
        nonlocal last
        last = 0.7 * last + rng.gauss(0.0, 1.0)
        return last + amount * size

    return draw


def _mostly_zero(rng: random.Random) -> Draw:
    then = rng.choice((0.3, 0.6, 0.95))

    def draw(amount: float, _: float) -> Value:
        is_zero = rng.random() < 0.75 + amount * (then - 0.75)
        return 0.0 if is_zero else rng.lognormvariate(2.0, 0.6)

    return draw


def _heaped(rng: random.Random) -> Draw:
    size = rng.choice(SHIFTS)
    return lambda amount, _: round(rng.gauss(60.0 + 12.0 * amount * size, 12.0), -1)


def _count(rng: random.Random) -> Draw:
    more = rng.choice((1, 3))
    return lambda amount, _: sum(rng.random() < 0.3 for _ in range(10)) + round(amount * more)


def _daily(rng: random.Random) -> Draw:
    size, swing = rng.choice(SHIFTS), rng.uniform(0.5, 3.0)
    return lambda amount, hour: rng.gauss(
        swing * math.sin(hour * math.pi / 12.0) + amount * size, 1.0
    )


def _daily_words(rng: random.Random) -> Draw:
    then = rng.choice((0.2, 0.5))

    def draw(amount: float, hour: float) -> Value:
        chance = 0.4 + 0.25 * math.sin(hour * math.pi / 12.0) + amount * (then - 0.4)
        return "web" if rng.random() < chance else "shop"

    return draw


def _flag(rng: random.Random) -> Draw:
    usual, then = rng.choice(((0.3, 0.6), (0.02, 0.15), (0.9, 0.5), (0.005, 0.06)))
    return lambda amount, _: rng.random() < usual + amount * (then - usual)


def _bit(rng: random.Random) -> Draw:
    flag = _flag(rng)
    return lambda amount, hour: int(bool(flag(amount, hour)))


def _words(count: int) -> Callable[[random.Random], Draw]:
    def words(rng: random.Random) -> Draw:
        names = [f"{'xyz'[number % 3]}-{number}" for number in range(count)]
        usual = [rng.uniform(0.2, 1.0) for _ in names]
        then = [weight * rng.choice((0.5, 1.0, 2.0)) for weight in usual]

        def draw(amount: float, _: float) -> Value:
            pairs = zip(usual, then, strict=True)
            return rng.choices(names, [was + amount * (now - was) for was, now in pairs])[0]

        return draw

    return words


def _name(rng: random.Random) -> Draw:
    return lambda amount, _: f"customer {rng.randrange(10 if amount == 1.0 else 1_000_000)}"


def _constant(rng: random.Random) -> Draw:
    usual, then = rng.choice((("EUR", "USD"), (7, 8), (True, False), (0.5, 0.25)))
    return lambda amount, _: usual if rng.random() >= amount else then


KINDS: Mapping[str, Callable[[random.Random], Draw]] = {
    "normal": _normal,
    "spread": _spread,
    "lognormal": _lognormal,
    "cauchy": _cauchy,
    "autoregressive": _autoregressive,
    "mostly_zero": _mostly_zero,
    "heaped": _heaped,
    "count": _count,
    "daily": _daily,
    "daily_words": _daily_words,
    "flag": _flag,
    "bit": _bit,
    "words_2": _words(2),
    "words_5": _words(5),
    "words_30": _words(30),
    "name": _name,
    "constant": _constant,
}


class Feature:
    """One feature of a model, and its disturbance."""

    def __init__(self, rng: random.Random, kind: str, rows: int) -> None:
        self._rng = rng
        self._draw = KINDS[kind](rng)
        self._disturbance = rng.choice(DISTURBANCES)
        self._trend = Trend(rng, rows)
        self._missing = rng.choice((0.0, 0.0, 0.1))
        self._spoilt = rng.choice((0.05, 0.3, 1.0))
        self._last: Value = None

    def put(self, into: dict[str, Value], name: str, row: int, hour: float) -> None:
        """Set the row's value, or leave it out."""
        amount = self._trend.amount(row)
        value = self._draw(amount if self._disturbance == "shift" else 0.0, hour)
        if self._disturbance == "stuck" and amount:
            value = self._last
        elif self._rng.random() < self._missing:
            value = None
        self._last = value
        if amount and self._rng.random() < self._spoilt * amount:
            if self._disturbance == "absent":
                return
            value = self._spoil(value)
        into[name] = value

    def _spoil(self, value: Value) -> Value:
        if self._disturbance == "missing":
            return None
        if self._disturbance == "type":
            return 1.5 if isinstance(value, str) else str(value)
        if self._disturbance == "unseen":
            return "never seen before"
        return value
