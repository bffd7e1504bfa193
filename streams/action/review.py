"""Which cases people see, and what their verdicts say about the error.

Rule 1. A case is chosen where a hash of its id is below its probability: a replay, a backtest and a
        restart ask for the same. Cases of a high risk or a high expected cost have probability 1,
        the others a small one; all are scaled by a factor that is set anew every hour, from the
        cases that are left of the day's quota and the answers of the same hours a day before. So
        the quota holds, and the weights as well: the factor follows from the past alone.
Rule 2. Beyond ``QUOTA_SLACK`` of the quota nothing is asked for on that day; it is counted.
Rule 3. A label counts more than a review, and that more than a report: a later word of the same or
        a higher rank restates the earlier one. After its end a case takes no word, and is kept for
        ``KEPT_MS``: its last record is published again, as those of open ones are.
Rule 4. The error of a period is the augmented inverse-probability-weighted mean. Where some chosen
        cases got no verdict, the weights of the others are raised within each way of choice.
Rule 5. Verdicts are no values of the error series: what is uncertain is wrong more often.
Rule 6. Of a regression the loss is the absolute error in place of 0 or 1, and the risk the absolute
        error to be expected of the answer. What was chosen while answers were classes has no
        weight in estimates of quantities, and the reverse.

References
----------
Cassel, Sarndal & Wretman 1976 for the estimator; Cohen 1960 for kappa.
"""

import hashlib
import math
from typing import Literal, NamedTuple

from msgspec import field

from schemas.model_spec import ReviewRules
from streams.action.comparison import Z
from streams.clock import HOUR_MS, NEVER_MS
from streams.codec import Machine
from streams.values import distance_of

Source = Literal["report", "review", "label"]
Stratum = Literal["uncertain", "costly", "sample"]
RANK: dict[Source, int] = {"report": 0, "review": 1, "label": 2}
MOST_OPEN = 10_000
"""Open cases of a model: a week of the work of ten people."""
QUOTA_SLACK = 1.05
"""Multiple of the quota up to which cases are asked for on a day."""
HOURS = 24
KEPT_MS = 1_200_000
"""Milliseconds of log time for which a case that is over is kept: until `status` has been published
in full twice."""
FEWEST_DOUBLES = 10
"""Cases with two verdicts from which their agreement is said."""


WITHIN, BEYOND = "within\twithin", "within\tbeyond"
"""Two verdicts about a quantity that agree, or do not."""


class Case(Machine):
    """A case that people are asked about.

    Parameters
    ----------
    asked_ms, due_ms
        When people were asked, and the end of the case.
    probability, risk, stratum
        How it was chosen; None, where it was reported.
    answer
        The answer of the model, as JSON.
    said, said_ms
        Its latest record, as JSON, and when it was said.
    """

    asked_ms: int
    due_ms: int
    probability: float | None
    risk: float
    stratum: Stratum | None
    answer: str
    said: bytes
    said_ms: int
    is_double: bool = False
    is_over: bool = False
    rank: int = -1
    verdict: str | None = None
    loss: float | None = None
    by: dict[str, str] = {}


class StratumSums(Machine):
    """Sums over the cases of one way of choice; d is the loss less the risk, p the probability.

    Attributes
    ----------
    weighted, squares, unit
        Sums of d / p, of its square, and of d squared / p.
    """

    chosen: int = 0
    answered: int = 0
    weighted: float = 0.0
    squares: float = 0.0
    unit: float = 0.0

    def add(self, d: float, probability: float, sign: int) -> None:
        """Add the verdict of a case, or take it back."""
        self.answered += sign
        self.weighted += sign * d / probability
        self.squares += sign * (d / probability) ** 2
        self.unit += sign * d * d / probability


class Period(Machine):
    """The answers of one period."""

    start_ms: int
    end_ms: int
    predictions: int = 0
    risks: float = 0.0
    dropped: int = 0
    strata: dict[Stratum, StratumSums] = field(default_factory=dict)
    doubles: dict[str, int] = {}
    """Pairs of verdicts, as two JSON texts with a tab between, by how often; of quantities
    ``WITHIN`` and ``BEYOND``."""


class Estimate(NamedTuple):
    """An error with its interval of 95 %."""

    error: float
    low: float
    high: float


class Choice(NamedTuple):
    """How a case was chosen."""

    stratum: Stratum
    probability: float
    is_double: bool


class Reviews(Machine):
    """The cases of one model."""

    cases: dict[str, Case] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)
    said: int = 0
    due_ms: int = NEVER_MS
    is_quantity: bool = False
    _asked: int = 0
    _hour: int = 0
    _began_ms: int = 0
    _expected: float = 0.0
    """Cases of this hour by their probabilities, before these are scaled."""
    _hours: dict[int, float] = {}
    """The same of the latest whole hours, by hour of the day."""
    _factor: float = 1.0

    def clear(self) -> None:
        """Forget all cases; the numbers of the estimates continue."""
        fresh = Reviews(said=self.said, is_quantity=self.is_quantity)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))

    def turn(self, *, is_quantity: bool) -> None:
        """Begin to ask about answers of another kind (Rule 6)."""
        self.is_quantity, self.periods = is_quantity, []
        for case in self.cases.values():
            case.stratum = None

    def choose(
        self,
        name: str,
        risk: float,
        now_ms: int,
        rules: ReviewRules,
        expected_cost: float | None = None,
    ) -> Choice | None:
        """Take in an answer of the model; return how it was chosen, or None (Rules 1 and 2).

        Parameters
        ----------
        name
            Model and prediction.
        risk
            The probability that the answer is wrong; of a quantity the absolute error to be
            expected.
        expected_cost
            That times the money of a mistake, or of a unit of the error; None: not known.
        """
        self._pass_hour(now_ms, rules)
        period = self._period(now_ms, rules)
        stratum = self._stratum(risk, expected_cost, rules)
        unscaled = rules.sample if stratum == "sample" else 1.0
        self._expected += unscaled
        period.predictions += 1
        period.risks += risk
        probability = self._factor * unscaled
        if not hashed(name, rules.salt) < probability:
            return None
        if self._asked >= QUOTA_SLACK * rules.per_day or len(self.cases) >= MOST_OPEN:
            period.dropped += 1
            return None
        self._asked += 1
        period.strata.setdefault(stratum, StratumSums()).chosen += 1
        return Choice(stratum, probability, hashed(f"{name}/2", rules.salt) < rules.double)

    def open(self, prediction_id: str, case: Case) -> None:
        """Take in that people are asked about a case."""
        self.cases[prediction_id] = case
        self.due_ms = min(self.due_ms, case.due_ms)

    def on_verdict(
        self,
        prediction_id: str,
        verdict: str,
        source: Source,
        reviewer: str | None,
        agree_within: float = 0.0,
    ) -> Case | None:
        """Take in a word about a case; return the case where it changes something (Rule 3).

        Parameters
        ----------
        verdict
            The right answer, as JSON; about a quantity all but a number is ignored.
        agree_within
            Share of the larger of two quantities within which they agree.
        """
        case = self.cases.get(prediction_id)
        if case is None or case.is_over or (self.is_quantity and number_of(verdict) is None):
            return None
        if source == "review":
            self._on_opinion(case, verdict, reviewer or "", agree_within)
        if RANK[source] < case.rank or (verdict == case.verdict and RANK[source] == case.rank):
            return None
        is_second = source == "review" and (reviewer or "") != next(iter(case.by), "")
        if is_second and case.rank == RANK["review"]:
            return None  # the first opinion stands, the second is for their agreement
        self._count(case, -1)
        case.rank, case.verdict = RANK[source], verdict
        case.loss = self._loss(case.answer, verdict)
        self._count(case, 1)
        return case

    def ended(self, now_ms: int) -> list[tuple[str, Case]]:
        """Return the cases whose time is over by now, and forget those that were long ago."""
        old = [name for name, case in self.cases.items() if case.due_ms + KEPT_MS <= now_ms]
        over = [
            (name, case)
            for name, case in self.cases.items()
            if case.due_ms <= now_ms and not case.is_over
        ]
        for _, case in over:
            case.is_over = True
        for name in old:
            del self.cases[name]
        return over

    def finished(self, now_ms: int, rules: ReviewRules) -> Period | None:
        """Return a period whose cases are all over, and forget it; set the next instant."""
        due_ms = round(1_000 * rules.due_s)
        found = None
        if self.periods and now_ms >= self.periods[0].end_ms + due_ms:
            found = self.periods.pop(0)
            self.said += 1
        ends = [case.due_ms for case in self.cases.values() if not case.is_over]
        ends += [period.end_ms + due_ms for period in self.periods[:1]]
        self.due_ms = min(ends, default=NEVER_MS)
        return found

    def _loss(self, answer: str, verdict: str) -> float | None:
        if not self.is_quantity:
            return float(verdict != answer)
        said, right = number_of(answer), number_of(verdict)
        distance = None if said is None or right is None else distance_of(said, right)
        return None if distance is None else abs(distance)

    def _stratum(self, risk: float, expected_cost: float | None, rules: ReviewRules) -> Stratum:
        limit = rules.error_above if self.is_quantity else rules.risk_above
        if limit is not None and risk >= limit:
            return "uncertain"
        limit = rules.cost_above
        is_costly = limit is not None and expected_cost is not None and expected_cost >= limit
        return "costly" if is_costly else "sample"

    def _on_opinion(self, case: Case, verdict: str, reviewer: str, agree_within: float) -> None:
        if reviewer not in case.by and len(case.by) >= 2:
            return
        self._tally(case, -1, agree_within)
        case.by[reviewer] = verdict
        self._tally(case, 1, agree_within)

    def _tally(self, case: Case, sign: int, agree_within: float) -> None:
        """Count two verdicts by whether they agree, or take them back: somebody corrects one."""
        period = self._period_of(case)
        if period is None or len(case.by) < 2:
            return
        first, second = case.by.values()
        pair = f"{first}\t{second}"
        if self.is_quantity:
            pair = WITHIN if are_close(first, second, agree_within) else BEYOND
        period.doubles[pair] = period.doubles.get(pair, 0) + sign
        if period.doubles[pair] <= 0:
            del period.doubles[pair]

    def _count(self, case: Case, sign: int) -> None:
        period = self._period_of(case)
        if case.loss is None or case.stratum is None or period is None:
            return
        sums = period.strata.setdefault(case.stratum, StratumSums())
        sums.add(case.loss - case.risk, case.probability or 1.0, sign)

    def _period_of(self, case: Case) -> Period | None:
        return next((x for x in self.periods if x.start_ms <= case.asked_ms < x.end_ms), None)

    def _period(self, now_ms: int, rules: ReviewRules) -> Period:
        if not self.periods or now_ms >= self.periods[-1].end_ms:
            length_ms = round(1_000 * rules.every_s)
            start_ms = now_ms // length_ms * length_ms
            self.periods.append(Period(start_ms, start_ms + length_ms))
            self.due_ms = min(self.due_ms, start_ms + length_ms + round(1_000 * rules.due_s))
        return self.periods[-1]

    def _pass_hour(self, now_ms: int, rules: ReviewRules) -> None:
        """Set the factor of a new hour from the past (Rule 1); before there is any it is 1."""
        hour = now_ms // HOUR_MS
        if hour <= self._hour:
            return
        if self._hour:
            lasted_ms = max(1, (self._hour + 1) * HOUR_MS - self._began_ms)
            self._hours[self._hour % HOURS] = self._expected * HOUR_MS / lasted_ms
            for silent in range(max(self._hour + 1, hour - HOURS), hour):
                self._hours[silent % HOURS] = 0.0
            if hour // HOURS != self._hour // HOURS:
                self._asked = 0
            usual = sum(self._hours.values()) / len(self._hours)
            left = sum(self._hours.get(each, usual) for each in range(hour % HOURS, HOURS))
            open_of_quota = max(rules.per_day - self._asked, 0)
            self._factor = min(1.0, open_of_quota / left) if left > 0 else 1.0
        self._began_ms = hour * HOUR_MS if self._hour else now_ms
        self._hour, self._expected = hour, 0.0


def number_of(text: str) -> float | None:
    """Return a number that is written as JSON; None for all else.

    Examples
    --------
    >>> [number_of(text) for text in ("2.5", "true", '"2.5"', "")]
    [2.5, None, None, None]
    """
    try:
        return float(text)
    except ValueError:
        return None


def are_close(one: str, other: str, share: float) -> bool:
    """Tell whether two numbers agree within a share of the larger.

    Examples
    --------
    >>> are_close("100", "95", 0.05), are_close("100", "94", 0.05)
    (True, False)
    """
    return math.isclose(number_of(one) or 0.0, number_of(other) or 0.0, rel_tol=share)


def hashed(name: str, salt: str) -> float:
    """Return a number from 0 to 1 that follows from a name.

    Examples
    --------
    >>> 0.0 <= hashed("loan/p1", "") < 1.0
    True
    """
    digest = hashlib.blake2b(f"{name}/{salt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def estimate(period: Period) -> Estimate | None:
    """Return the error of a period (Rule 4); None where one way of choice has no verdict."""
    if not period.strata or not all(each.answered for each in period.strata.values()):
        return None
    total = variance = 0.0
    for sums in period.strata.values():
        raised = sums.chosen / sums.answered
        total += raised * sums.weighted
        variance += raised**2 * sums.squares - raised * sums.unit
    n = period.predictions
    error = (period.risks + total) / n
    half = Z * math.sqrt(max(variance, 0.0)) / n
    return Estimate(error, error - half, error + half)


def agreement(doubles: dict[str, int]) -> float | None:
    r"""Return the share of pairs of verdicts that agree; None where they are too few.

    Examples
    --------
    >>> agreement({WITHIN: 15, BEYOND: 5})
    0.75
    """
    n = sum(doubles.values())
    if n < FEWEST_DOUBLES:
        return None
    return sum(count for pair, count in doubles.items() if len(set(pair.split("\t"))) == 1) / n


def kappa(doubles: dict[str, int]) -> float | None:
    r"""Return Cohen's kappa of pairs of verdicts; None where they are too few, or all alike.

    Examples
    --------
    >>> round(kappa({"1\t1": 20, "0\t0": 15, "1\t0": 5, "0\t1": 10}), 2)
    0.4
    """
    n = sum(doubles.values())
    if n < FEWEST_DOUBLES:
        return None
    first: dict[str, int] = {}
    second: dict[str, int] = {}
    same = 0
    for pair, count in doubles.items():
        one, other = pair.split("\t")
        first[one] = first.get(one, 0) + count
        second[other] = second.get(other, 0) + count
        same += count * (one == other)
    chance = sum(count * second.get(name, 0) for name, count in first.items()) / n**2
    return None if chance >= 1 else (same / n - chance) / (1 - chance)
