"""The challengers of one model: their answers and pairs go in, the comparison comes out."""

import math
from collections.abc import Iterator
from typing import Any

import orjson

from schemas.challenge import Challenge as Record
from schemas.model_spec import ChallengeRules
from schemas.wire import to_rfc3339
from streams.action.book import key_of
from streams.action.challenge import Challenge, Contest
from streams.action.records import SHOWN, Occasion, decided
from streams.alert.summary import cut
from streams.clock import NEVER_MS
from streams.emission import EventRow
from streams.join.events import EarlyOutcome, WaitingPrediction, answer_of
from streams.model.publication import Publication
from streams.model.spec import SpecInForce
from streams.performance.cohort import MONEY
from streams.performance.ledger import label_of
from streams.performance.price import price_of
from streams.values import Answer, distance_of


class Challenger:
    """The challengers of one model; it does nothing unless the spec asks for it.

    Parameters
    ----------
    model_id, partition
        The model.
    state
        Its stored state.
    in_force
        The spec of the model.
    publication
        Publishes the comparison.
    """

    def __init__(
        self,
        model_id: str,
        partition: int,
        state: Challenge,
        in_force: SpecInForce,
        publication: Publication,
    ) -> None:
        self.state = state
        self._model_id = model_id
        self._partition = partition
        self._in_force = in_force
        self._publication = publication

    @property
    def rules(self) -> ChallengeRules | None:
        """The rules in force; None: nothing is compared."""
        return self._in_force.spec.challenge

    @property
    def due_ms(self) -> int:
        """Log time at which the pairs of a day begin to count."""
        rules = self.rules
        if rules is None:
            return NEVER_MS
        days = [day for each in self.state.contests.values() for day in each.days]
        return (min(days) + 1) * _cohort_ms(rules) + self._mature_ms(rules) if days else NEVER_MS

    def on_answer(self, event: dict[str, Any], row: EventRow) -> None:
        """Take in an answer of a challenger."""
        rules, answer = self.rules, answer_of(event)
        if rules is None or answer is None:
            return
        contest = self.state.contest(event["variant"], row.now_ms)
        if contest is not None and contest.state == "running":
            contest.on_answer(event["prediction_id"], label_of(answer), event["predicted_at"])

    def on_pair(
        self,
        prediction_id: str,
        prediction: WaitingPrediction,
        outcome: EarlyOutcome,
        is_error: bool | None,
    ) -> None:
        """Take in a judged answer of the champion; ``is_error`` is None of quantities."""
        rules = self.rules
        if rules is None or prediction.prediction is None or prediction.row is not None:
            return
        day = prediction.predicted_at_ms // _cohort_ms(rules)
        for contest in self.state.contests.values():
            answered = contest.waiting.pop(prediction_id, None)
            if answered is None:
                continue
            truth, answer = outcome.outcome, orjson.loads(answered.answer)
            if is_error is None:
                ours, theirs = _distance(answer, truth), _distance(prediction.prediction, truth)
            else:
                ours, theirs = float(answered.answer != label_of(truth)), float(is_error)
            if ours is None or theirs is None:
                continue
            money = None
            if rules.money:
                gained = self._money(answer, truth, ours)
                before = self._money(prediction.prediction, truth, theirs)
                money = None if gained is None or before is None else gained - before
            contest.on_pair(theirs - ours, money, day, is_distance=is_error is None)

    def advance(self, row: EventRow) -> None:
        """Let days count that are old enough, and say where each contest stands."""
        rules = self.rules
        if rules is None or row.now_ms < self.due_ms:
            return
        before = (row.now_ms - self._mature_ms(rules)) // _cohort_ms(rules)
        for variant, contest in self.state.contests.items():
            if contest.mature(before):
                was = contest.state
                state = contest.judge(rules, row.now_ms) if was == "running" else was
                self._say(variant, contest, rules, row, is_news=state != was)

    def records(self) -> Iterator[tuple[str, bytes, int]]:
        """Give the key of each contest, its latest record, and the log time of that."""
        for variant, contest in self.state.contests.items():
            if contest.said:
                yield self._key(variant), contest.said, contest.said_ms

    def close(self, row: EventRow) -> None:
        """End the commands about challengers: a new version answers, or a person says so."""
        for variant in self.state.contests:
            self._publication.close(key_of(self._model_id, f"challenge|{variant}"), row)

    def clear(self, row: EventRow) -> None:
        """Forget all challengers."""
        self.close(row)
        self.state.contests = {}

    def _key(self, variant: str) -> str:
        return f"{self._model_id}|challenge|{variant}"

    def _money(self, answer: Answer, truth: Answer, error: float) -> float | None:
        cost = self._in_force.spec.cost
        if cost is None or cost.field is not None:
            return None
        parts = price_of(cost, answer, truth, None, error)
        return None if parts is None else parts / MONEY

    def _mature_ms(self, rules: ChallengeRules) -> int:
        mature_s = rules.mature_s
        return math.ceil(
            1_000 * (self._in_force.spec.outcome.wait_s if mature_s is None else mature_s)
        )

    def _say(
        self, variant: str, contest: Contest, rules: ChallengeRules, row: EventRow, *, is_news: bool
    ) -> None:
        record = self._record(variant, contest, rules, row)
        contest.said, contest.said_ms = record.model_dump_json().encode(), row.now_ms
        self._publication.add_metrics([(self._key(variant), record)], row)
        if not is_news or record.state not in {"better", "worse"}:
            return
        name = self._publication.book.next(self._model_id, f"challenge|{variant}")
        at = Occasion.of(self._model_id, self._partition, row)
        self._publication.say(decided(record, name, at), row)

    def _record(
        self, variant: str, contest: Contest, rules: ChallengeRules, row: EventRow
    ) -> Record:
        better, worse = contest.errors.wealth()
        mean, low, high = contest.errors.interval(rules.alpha)
        has_money = contest.amounts.cap is not None and contest.money.rows > 0
        richer, poorer = contest.money.wealth()
        cap, unit = contest.amounts.cap or 0.0, contest.distances.cap or 1.0
        return Record(
            challenge_id=f"{self._model_id}/{variant}/{contest.cohorts}",
            model_id=self._model_id,
            variant=variant,
            as_of=to_rfc3339(row.now_ms),
            state=contest.state,
            pairs=contest.errors.rows,
            cohorts=contest.cohorts,
            waiting=sum(day.errors.rows for day in contest.days.values()),
            dropped=contest.dropped,
            e_better=better,
            e_worse=worse,
            limit=2.0 / rules.alpha,
            difference=unit * mean,
            low=unit * low,
            high=unit * high,
            unit="rate" if contest.distances.cap is None else "distance",
            cut_at=contest.distances.cap,
            money=cap * contest.money.total / contest.money.rows if has_money else None,
            money_cut_at=contest.amounts.cap,
            e_richer=richer if has_money else None,
            e_poorer=poorer if has_money else None,
            summary=self._sentence(variant, contest, rules, mean),
        )

    def _sentence(self, variant: str, contest: Contest, rules: ChallengeRules, mean: float) -> str:
        model = f"Challenger {cut(variant, SHOWN // 2)} of model {cut(self._model_id, SHOWN // 2)}"
        points, pairs = f"{100 * abs(mean):.1f} points", contest.errors.rows
        margin, cap = f"{100 * rules.margin:g} points", contest.distances.cap
        if cap is not None:
            points, margin = f"{cap * abs(mean):.3g}", f"{cap * rules.margin:.3g}"
        if contest.state in {"better", "worse"}:
            return f"{model} is {contest.state}: {points} of error in {pairs:,} pairs."
        if contest.state == "alike":
            return f"{model} is as good as the champion within {margin}."
        if contest.state == "expired":
            return (
                f"{model} is not decided after {rules.max_days} days: {points} in {pairs:,} pairs."
            )
        missing = max(0, rules.min_pairs - pairs)
        needs = f"{missing:,} more pairs at least" if missing else "more evidence"
        return f"{model} is not decided: {points} in {pairs:,} pairs, it needs {needs}."


def _distance(answer: Answer | None, truth: Answer) -> float | None:
    """Return the absolute error of a quantity; None where either is none."""
    if isinstance(answer, bool | str | None) or isinstance(truth, bool | str):
        return None
    distance = distance_of(answer, truth)
    return None if distance is None else abs(distance)


def _cohort_ms(rules: ChallengeRules) -> int:
    return round(1_000 * rules.cohort_s)
