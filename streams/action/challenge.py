"""Champion and challenger: answers to the same predictions, compared at any time without a penalty.

Rule 1. A pair is a prediction that both have answered, with its outcome. d is the loss of the
        champion less that of the challenger, from -1 to 1: of wrong answers or, for quantities, of
        absolute errors; and of money.
Rule 2. Pairs count by the day of their prediction, once that is old enough for labels of either
        kind. As they arrive, a challenger that is better where labels come fast would win.
Rule 3. The evidence that it is better is the mean wealth of ``BETS`` bets on it: under the null it
        exceeds 1 / a with probability a at most, however often it is looked at. That it is worse is
        bet on likewise; each has half of alpha.
Rule 4. Money and absolute errors are divided by ``CAPS`` times the mean of the first amounts that
        differ, and cut at 1: frozen from then on, and said. Those first pairs do not count.
Rule 5. At most ``MOST_WAITING`` answers of challengers wait for their pair; older ones are dropped.

References
----------
Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting". For the
interval, which is asymptotic: Waudby-Smith et al. 2021, "Time-uniform central limit theory",
theorem 2.2.
"""

import math
from typing import Literal

from msgspec import field

from schemas.model_spec import ChallengeRules
from streams.codec import Machine

BETS = tuple(0.01 * 90.0 ** (place / 23) for place in range(24))
"""Bets, geometric from 0.01 to 0.9: a small one for a small difference, a large one for a large."""
CAPS = 5.0
"""Multiple of the mean difference at which amounts are cut. A cut at 20 needs twice the pairs."""
CAP_PAIRS = 500
"""Pairs that differ from which a scale is taken."""
MOST_WAITING = 20_000
"""Answers of challengers that wait for an outcome: 2 MB."""
MOST_VARIANTS = 4
TUNED_TO = 1_000
"""Pairs at which the interval is narrowest."""

State = Literal["running", "better", "worse", "alike", "expired"]


class Bets(Machine):
    """Differences of one kind: their sums, and the log wealth of each bet in both directions."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0
    better: list[float] = []
    worse: list[float] = []

    def add(self, d: float, times: int = 1) -> None:
        """Take in a difference, so many times."""
        self.rows += times
        self.total += times * d
        self.squares += times * d * d
        if d:
            self.better = [
                have + times * math.log1p(bet * d)
                for have, bet in zip(self.better or [0.0] * len(BETS), BETS, strict=True)
            ]
            self.worse = [
                have + times * math.log1p(-bet * d)
                for have, bet in zip(self.worse or [0.0] * len(BETS), BETS, strict=True)
            ]

    def join(self, other: "Bets") -> None:
        """Take in the differences of a day."""
        self.rows += other.rows
        self.total += other.total
        self.squares += other.squares
        self.better = _summed(self.better, other.better)
        self.worse = _summed(self.worse, other.worse)

    def wealth(self) -> tuple[float, float]:
        """Return the evidence that the challenger is better, and that it is worse."""
        return _mean_exp(self.better), _mean_exp(self.worse)

    def interval(self, alpha: float) -> tuple[float, float, float]:
        """Return the mean difference and its interval, which holds at all times at once."""
        if not self.rows:
            return 0.0, -1.0, 1.0
        n, mean = self.rows, self.total / self.rows
        sd = math.sqrt(max(self.squares / n - mean * mean, 1e-12))
        rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / TUNED_TO
        inside = n * rho2 + 1
        half = sd * math.sqrt(2 * inside / (n * n * rho2) * math.log(math.sqrt(inside) / alpha))
        return mean, max(-1.0, mean - half), min(1.0, mean + half)


class Answered(Machine):
    """An answer of a challenger that waits: as JSON, and the instant of the prediction."""

    answer: str
    predicted_ms: int


class Day(Machine):
    """The pairs of a day that is not old enough yet."""

    errors: Bets = field(default_factory=Bets)
    money: Bets = field(default_factory=Bets)


class Scale(Machine):
    """Brings amounts into -1 to 1 (Rule 4)."""

    amounts: int = 0
    amount: float = 0.0
    cap: float | None = None

    def scaled(self, amount: float) -> float | None:
        """Return an amount in parts of the cap; None while that is not known."""
        if self.cap is None and amount:
            self.amounts += 1
            self.amount += abs(amount)
            if self.amounts >= CAP_PAIRS:
                self.cap = CAPS * self.amount / self.amounts
        return None if self.cap is None else max(-1.0, min(1.0, amount / self.cap))


class Contest(Machine):
    """One challenger against the champion."""

    began_ms: int
    waiting: dict[str, Answered] = field(default_factory=dict)
    days: dict[int, Day] = field(default_factory=dict)
    errors: Bets = field(default_factory=Bets)
    money: Bets = field(default_factory=Bets)
    cohorts: int = 0
    dropped: int = 0
    distances: Scale = field(default_factory=Scale)
    amounts: Scale = field(default_factory=Scale)
    state: State = "running"
    said: bytes = b""
    """Its latest record, as JSON; empty before the first."""
    said_ms: int = 0

    def on_answer(self, prediction_id: str, answer: str, predicted_ms: int) -> None:
        """Take in an answer of the challenger."""
        self.waiting.setdefault(prediction_id, Answered(answer, predicted_ms))
        if len(self.waiting) > MOST_WAITING:
            del self.waiting[next(iter(self.waiting))]
            self.dropped += 1

    def on_pair(
        self, loss: float, money: float | None, day: int, *, is_distance: bool = False
    ) -> None:
        """Take in the difference of a pair, in errors or their distances, and in money."""
        of_day = self.days.get(day)
        if of_day is None:
            of_day = self.days[day] = Day()
        d = self.distances.scaled(loss) if is_distance else loss
        if d is not None:
            of_day.errors.add(d)
        gained = None if money is None else self.amounts.scaled(money)
        if gained is not None:
            of_day.money.add(gained)

    def mature(self, before_day: int) -> bool:
        """Let the pairs of days before one count (Rule 2); tell whether there are any."""
        due = sorted(day for day in self.days if day < before_day)
        for day in due:
            of_day = self.days.pop(day)
            self.errors.join(of_day.errors)
            self.money.join(of_day.money)
            self.cohorts += 1
        return bool(due)

    def judge(self, rules: ChallengeRules, now_ms: int) -> State:
        """Return where the contest stands.

        Errors alone decide nothing for a challenger where money counts: neither that they are
        alike, nor that they are fewer while the amounts are too few for a cap.
        """
        limit = 2.0 / rules.alpha
        better, worse = self.errors.wealth()
        richer, poorer = self.money.wealth()
        _, low, high = self.errors.interval(rules.alpha)
        has_money = rules.money and self.amounts.cap is not None
        is_due = self.errors.rows >= rules.min_pairs
        is_without_money = not (rules.money and self.amounts.amounts)
        is_won = better >= limit and is_without_money
        if has_money:
            is_won = richer >= limit and low > -rules.margin
        is_lost = worse >= limit or (has_money and poorer >= limit)
        if is_due and is_won and not is_lost:
            self.state = "better"
        elif is_due and is_lost:
            self.state = "worse"
        elif is_due and not self.amounts.amounts and -rules.margin < low and high < rules.margin:
            self.state = "alike"
        elif now_ms - self.began_ms >= 86_400_000 * rules.max_days:
            self.state = "expired"
        return self.state


class Challenge(Machine):
    """All challengers of one model, by variant."""

    contests: dict[str, Contest] = field(default_factory=dict)

    def contest(self, variant: str, now_ms: int) -> Contest | None:
        """Return the contest of a variant; None where there are too many."""
        found = self.contests.get(variant)
        if found is None and len(self.contests) < MOST_VARIANTS:
            found = self.contests[variant] = Contest(now_ms)
        return found


def _summed(one: list[float], other: list[float]) -> list[float]:
    if not one or not other:
        return one or other
    return [a + b for a, b in zip(one, other, strict=True)]


def _mean_exp(logs: list[float]) -> float:
    if not logs:
        return 1.0
    top = max(logs)
    return math.exp(min(top, 700.0)) * sum(math.exp(each - top) for each in logs) / len(logs)
