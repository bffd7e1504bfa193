"""The reviews of one model: answers, verdicts and reports go in, cases and an estimate come out."""

from collections.abc import Iterator
from typing import Any

import orjson

from schemas.error_model import ErrorModel
from schemas.fast import encode
from schemas.feature_row import as_dict
from schemas.model_spec import ReviewRules
from schemas.review import Review, Reviewed, ReviewStatus, Unit, Why
from schemas.wire import to_rfc3339
from streams.action.review import Case, Choice, Period, Reviews, Source, agreement, estimate, kappa
from streams.clock import NEVER_MS
from streams.emission import EventRow
from streams.join.events import WaitingPrediction
from streams.model.publication import Publication
from streams.model.spec import SpecInForce
from streams.performance.error_model import ErrorEstimator
from streams.performance.figures import chance_of_error, positive_of
from streams.performance.ledger import label_of
from streams.performance.price import at_stake
from streams.values import Answer


class Reviewer:
    """The reviews of one model; it does nothing unless the spec asks for it.

    Parameters
    ----------
    model_id
        The model.
    state
        Its stored state.
    in_force
        The spec of the model.
    publication
        Publishes its cases.
    """

    def __init__(
        self, model_id: str, state: Reviews, in_force: SpecInForce, publication: Publication
    ) -> None:
        self.state = state
        self._model_id = model_id
        self._in_force = in_force
        self._publication = publication
        self._error_model: ErrorModel | None = None
        self._errors: ErrorEstimator | None = None

    @property
    def rules(self) -> ReviewRules | None:
        """The rules in force; None: nobody is asked."""
        return self._in_force.spec.review

    @property
    def due_ms(self) -> int:
        """Log time at which `advance` says something."""
        return NEVER_MS if self.rules is None else self.state.due_ms

    def on_answer(
        self, event: dict[str, Any], answer: Answer | None, row: EventRow, *, is_quantity: bool
    ) -> None:
        """Take in an answer of the model."""
        rules = self.rules
        if rules is None or answer is None:
            return
        if is_quantity is not self.state.is_quantity:
            self.state.turn(is_quantity=is_quantity)
        risk = self._risk(event, answer)
        name = f"{self._model_id}/{event['prediction_id']}"
        cost = self._expected_cost(answer, risk)
        choice = self.state.choose(name, risk, row.now_ms, rules, cost)
        if choice is not None:
            self._ask(event, choice, (risk, cost), row)

    def on_report(
        self, report: dict[str, Any], known: WaitingPrediction | None, row: EventRow
    ) -> None:
        """Take in that a person reported an answer: it is a case, without a weight."""
        rules, prediction_id = self.rules, report["prediction_id"]
        if rules is None:
            return
        if prediction_id not in self.state.cases:
            event = {"prediction_id": prediction_id}
            if known is not None:
                event = orjson.loads(known.payload)
            self._ask(event, None, (0.0, None), row)
        wanted = report.get("wanted")
        if wanted is not None:
            self.on_verdict(prediction_id, wanted, "report", report.get("by"), row)

    def on_verdict(
        self,
        prediction_id: str,
        verdict: Answer,
        source: Source,
        reviewer: str | None,
        row: EventRow,
    ) -> None:
        """Take in what was right, from a reviewer, a report or the label itself."""
        if self.rules is None or prediction_id not in self.state.cases:
            return
        case = self.state.on_verdict(
            prediction_id, label_of(verdict), source, reviewer, self.rules.agree_within
        )
        if case is not None:
            self._say(case, "answered", row, source=source, reviewer=reviewer)

    def records(self) -> Iterator[tuple[str, bytes, int]]:
        """Give the key of each case, its latest record, and the log time of that."""
        for case in self.state.cases.values():
            fields = orjson.loads(case.said)
            yield fields["review_id"], case.said, case.said_ms
            if case.is_double:
                yield *_second(fields), case.asked_ms

    def advance(self, row: EventRow) -> None:
        """Say what is due at an event, or a tick."""
        rules = self.rules
        if rules is None or row.now_ms < self.state.due_ms:
            return
        for _, case in self.state.ended(row.now_ms):
            if case.verdict is None:
                self._say(case, "expired", row)
        while (period := self.state.finished(row.now_ms, rules)) is not None:
            self._estimate(period, row)

    def clear(self) -> None:
        """Forget all cases; the numbers of the estimates continue."""
        self.state.clear()

    def _ask(
        self,
        event: dict[str, Any],
        choice: Choice | None,
        urgency: tuple[float, float | None],
        row: EventRow,
    ) -> None:
        """Open a case; ``urgency`` is its risk and its expected cost."""
        rules = self.rules or ReviewRules()
        risk, expected_cost = urgency
        answer, at_ms = event.get("prediction"), event.get("predicted_at")
        due_ms = row.now_ms + round(1_000 * rules.due_s)
        why: Why = "report" if choice is None else choice.stratum
        record = Review(
            review_id=f"{self._model_id}/{event['prediction_id']}/1",
            prediction_id=event["prediction_id"],
            model_id=self._model_id,
            predicted_at=None if at_ms is None else to_rfc3339(at_ms),
            why=why,
            probability=None if choice is None else choice.probability,
            unit=self._unit,
            risk=risk,
            expected_cost=expected_cost,
            requested_at=to_rfc3339(row.now_ms),
            due_at=to_rfc3339(due_ms),
            answer=answer,
            score=event.get("score"),
            features=as_dict(event.get("features") or {}) if rules.show_features else None,
            status="open",
            verdict=None,
            source=None,
            reviewer=None,
        )
        case = Case(
            row.now_ms,
            due_ms,
            record.probability,
            risk,
            None if choice is None else choice.stratum,
            "" if answer is None else label_of(answer),
            record.model_dump_json().encode(),
            row.now_ms,
            choice is not None and choice.is_double,
        )
        self.state.open(event["prediction_id"], case)
        self._say(case, "open", row)

    @property
    def _unit(self) -> Unit:
        return "distance" if self.state.is_quantity else "rate"

    def _risk(self, event: dict[str, Any], answer: Answer) -> float:
        """Return the loss to be expected of an answer; 0 where nothing tells it."""
        spec = self._in_force.spec
        if not self.state.is_quantity:
            return risk_of(event, answer, spec.positive)
        model = spec.reference.error_model
        if model is not self._error_model:
            self._error_model = model
            self._errors = None if model is None else ErrorEstimator(model)
        if self._errors is None:
            return 0.0
        return (
            self._errors.expected(as_dict(event.get("features")), answer) or 0
        ) * self._errors.unit

    def _expected_cost(self, answer: Answer, risk: float) -> float | None:
        cost = self._in_force.spec.cost
        stake = None if cost is None else at_stake(cost, answer)
        return None if stake is None else risk * stake

    def _say(
        self,
        case: Case,
        status: ReviewStatus,
        row: EventRow,
        source: Source | None = None,
        reviewer: str | None = None,
    ) -> None:
        fields = orjson.loads(case.said)
        fields |= {
            "status": status,
            "verdict": None if case.verdict is None else orjson.loads(case.verdict),
            "source": source,
            "reviewer": reviewer,
        }
        case.said, case.said_ms = encode(fields), row.now_ms
        self._publication.add_review(fields["review_id"], case.said, row)
        if case.is_double and status == "open":
            self._publication.add_review(*_second(fields), row)

    def _estimate(self, period: Period, row: EventRow) -> None:
        found, strata = estimate(period), period.strata.values()
        n = period.predictions
        record = Reviewed(
            reviewed_id=f"{self._model_id}/reviewed/{self.state.said}",
            model_id=self._model_id,
            start=to_rfc3339(period.start_ms),
            end=to_rfc3339(period.end_ms),
            predictions=n,
            chosen=sum(each.chosen for each in strata),
            answered=sum(each.answered for each in strata),
            dropped=period.dropped,
            unit=self._unit,
            error=None if found is None else self._bounded(found.error),
            low=None if found is None else self._bounded(found.low),
            high=None if found is None else self._bounded(found.high),
            expected=period.risks / n if n else None,
            doubles=sum(period.doubles.values()),
            agreement=agreement(period.doubles),
            kappa=None if self.state.is_quantity else kappa(period.doubles),
        )
        key = f"{self._model_id}|reviewed|{period.start_ms}|(all)"
        self._publication.add_metrics([(key, record)], row)

    def _bounded(self, estimated: float) -> float:
        """Return an estimate that can be: that of few verdicts may lie beside."""
        at_least = max(0.0, estimated)
        return at_least if self.state.is_quantity else min(1.0, at_least)


def _second(fields: dict[str, Any]) -> tuple[str, bytes]:
    """Return the key and the record of the second opinion about a case."""
    name = fields["review_id"].removesuffix("/1") + "/2"
    asked = {"review_id": name, "why": "double", "probability": None, "status": "open"}
    return name, encode(fields | asked | {"verdict": None, "source": None, "reviewer": None})


def risk_of(event: dict[str, Any], answer: Answer, positive: Answer | None) -> float:
    """Return the probability, by its score, that an answer is wrong; 0 without a score.

    Parameters
    ----------
    positive
        The label that the spec names; None: the usual one.

    Examples
    --------
    >>> [risk_of({"score": 0.75}, answer, None) for answer in (1, 0, "cat")]
    [0.25, 0.75, 0.25]
    >>> [risk_of({"score": 0.75}, answer, "no") for answer in ("no", "yes")]
    [0.25, 0.75]
    """
    scores = event.get("scores")
    if scores:
        name = answer if isinstance(answer, str) else label_of(answer)
        return 1.0 - float(scores.get(name, 0.0))
    given = None if positive is None else label_of(positive)
    risk = chance_of_error(event.get("score"), 0, positive_of(given, {label_of(answer): 0}))
    return 0.0 if risk is None else risk
