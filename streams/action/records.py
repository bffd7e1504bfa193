"""The records of ``feedback``."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.alert import Evidence
from schemas.challenge import Challenge
from schemas.feedback import (
    BeforeAfter,
    ErrorSample,
    FallbackOrder,
    Feedback,
    LabelledRange,
    LeaveOut,
    TrainingData,
)
from schemas.feedback import Recalibration as WireMap
from schemas.model_spec import FallbackRules, RetrainRules
from schemas.wire import to_rfc3339
from streams.action.book import Numbered
from streams.action.comparison import Difference, Errors, difference
from streams.action.fallback import Reason
from streams.action.retraining import OpenRetraining, Retraining, Trial, alert_ids
from streams.alert.summary import cut
from streams.emission import EventRow
from streams.performance.calibration import Recalibration

_REASONS: dict[Reason, str] = {
    "failed": "its calls fail",
    "silent": "its predictions are missing",
    "slow": "its answers are slow",
    "wrong": "its answers are wrong",
}
MAP_VALID_MS = 30 * 24 * 60 * 60 * 1_000
"""Milliseconds, 30 days: the time in which the map of the model itself is made anew."""
DECISION_MS = 7 * 86_400_000
"""Milliseconds that a decision about a challenger is valid: a week, by judgement."""
SHOWN = 64
"""Characters of a model's name in a sentence."""


class Occasion(NamedTuple):
    """The event at which something is said."""

    model_id: str
    version: str | None
    at_ms: int
    evidence: Evidence

    @classmethod
    def of(cls, model_id: str, partition: int, row: EventRow) -> "Occasion":
        """Return the occasion of one event: it alone is the evidence."""
        evidence = Evidence(partition=partition, first_offset=row.offset, last_offset=row.offset)
        return cls(model_id, row.version, row.now_ms, evidence)


def retrain(
    open_now: OpenRetraining, rows: LabelledRange, data: TrainingData, name: Numbered, at: Occasion
) -> Feedback:
    """Return the command to retrain."""
    changed = sorted({each.series for each in open_now.causes.values()})
    why = f"its {' and its '.join(cut(each, SHOWN // 2) for each in changed[:2])} changed"
    since = "since the estimated onset"
    if not changed:
        why, since = "it is due by the clock", "to learn from"
    said = f"{why}; {rows.rows:,} labelled row{'' if rows.rows == 1 else 's'} {since}."
    return _feedback(
        name,
        at,
        command="retrain",
        because=alert_ids(open_now.causes.values()),
        expires_at=to_rfc3339(open_now.expires_ms),
        labelled=rows,
        training=data,
        summary=f"Retrain model {cut(at.model_id, SHOWN)}: {said}",
    )


def retrained(trial: Trial, name: Numbered, at: Occasion) -> Feedback:
    """Return the result of a retraining: the error before and after."""
    found = difference(trial.before, trial.after)
    sample = BeforeAfter(
        before=_sample(trial.before, trial.before_version),
        after=_sample(trial.after, trial.version),
        difference=found.value,
        low=found.low,
        high=found.high,
    )
    return _feedback(
        name,
        at,
        command="retrained",
        because=(),
        expires_at=None,
        retrained=sample,
        summary=f"Model {cut(at.model_id, SHOWN)} was retrained: {_verdict(trial, found)}.",
    )


def fallback(
    reasons: Iterable[Reason],
    rules: FallbackRules,
    name: Numbered,
    at: Occasion,
    *,
    expires_ms: int | None,
) -> Feedback:
    """Return a lease of the fallback; without an end, the command to ask the model again."""
    model = cut(at.model_id, SHOWN)
    if expires_ms is None:
        return _feedback(
            name,
            at,
            command="fallback_off",
            because=(),
            expires_at=None,
            suggested=not rules.auto,
            summary=f"Ask model {model} again: its probes have proved it.",
        )
    why = " and ".join(_REASONS[each] for each in sorted(reasons))
    until = f"until {to_rfc3339(expires_ms)[:16].replace('T', ' ')} UTC unless renewed"
    return _feedback(
        name,
        at,
        command="fallback_on",
        because=(),
        expires_at=to_rfc3339(expires_ms),
        suggested=not rules.auto,
        fallback=FallbackOrder(reasons=tuple(sorted(reasons)), probe=rules.probe),
        summary=f"Answer by the fallback in place of model {model}, {until}: {why}.",
    )


def decided(record: Challenge, name: Numbered, at: Occasion) -> Feedback:
    """Return the command to promote a challenger, or to end it; a person decides."""
    is_better = record.state == "better"
    return _feedback(
        name,
        at,
        command="promote" if is_better else "rollback",
        because=(record.challenge_id,),
        expires_at=to_rfc3339(at.at_ms + DECISION_MS),
        suggested=True,
        challenge=record,
        summary=record.summary,
    )


def training_data(
    state: Retraining, rules: RetrainRules, from_ms: int, now_ms: int, *, is_regression: bool
) -> TrainingData:
    """Return the rows since an instant as data to learn from."""
    leave_out = [
        LeaveOut(
            why="data_quality",
            because=each.fingerprint,
            predicted_from=to_rfc3339(each.from_ms),
            predicted_until=None if each.until_ms is None else to_rfc3339(each.until_ms),
        )
        for each in state.faults
        if each.until_ms is None or each.until_ms > from_ms
    ]
    leave_out += [
        LeaveOut(
            why="excluded",
            because=each.because,
            predicted_from=to_rfc3339(each.start),
            predicted_until=to_rfc3339(each.end),
        )
        for each in rules.exclude
        if each.end > from_ms and each.start <= now_ms
    ]
    counts = None if state.tally is None else state.tally.since(from_ms)
    if counts is None or counts.fallbacks:
        leave_out.append(
            LeaveOut(why="fallback", because=None, predicted_from=None, predicted_until=None)
        )
    return TrainingData(
        minimum=rules.min_labelled,
        leave_out=tuple(leave_out),
        counted_from=None if counts is None else to_rfc3339(counts.from_ms),
        predictions=None if counts is None else counts.predictions,
        fallbacks=None if counts is None else counts.fallbacks,
        completeness=None if counts is None else counts.completeness,
        classes={} if counts is None or is_regression else counts.classes,
        delay_p90_s=None if state.tally is None else state.tally.delay_p90_s(),
    )


def recalibrate(
    found: Recalibration, because: tuple[str, ...], name: Numbered, at: Occasion
) -> Feedback:
    """Return the command to read scores by another map: a person decides."""
    return _feedback(
        name,
        at,
        command="recalibrate",
        because=because,
        expires_at=to_rfc3339(at.at_ms + MAP_VALID_MS),
        suggested=True,
        recalibration=WireMap(map=found.knots, rows=found.rows, brier_saved=found.saved),
        summary=(
            f"Recalibrate model {cut(at.model_id, SHOWN)}: its scores mean something else; a map "
            f"of {found.rows:,} labelled rows saves {found.saved:.4f} of the Brier score."
        ),
    )


def _feedback(name: Numbered, at: Occasion, **fields: object) -> Feedback:
    absent = dict.fromkeys(("labelled", "training", "retrained", "fallback", "challenge"))
    given: dict[str, object] = {**absent, "suggested": False, **fields}
    return Feedback.model_validate(
        {
            **name._asdict(),
            "model_id": at.model_id,
            "model_version": at.version,
            "issued_at": to_rfc3339(at.at_ms),
            "evidence": at.evidence,
            **given,
        }
    )


def _sample(errors: Errors, version: str | None) -> ErrorSample:
    return ErrorSample(version=version, rows=errors.rows, error=errors.mean)


def _verdict(trial: Trial, found: Difference) -> str:
    are_shares = trial.before.are_shares and trial.after.are_shares
    before, after = trial.before.mean, trial.after.mean
    now, then = (
        (f"{after:.1%}", f"{before:.1%}") if are_shares else (f"{after:.4g}", f"{before:.4g}")
    )
    words = "no clear change"
    if found.high < 0:
        words = "better"
    elif found.low > 0:
        words = "worse"
    rows = f"{trial.after.rows:,} rows"
    return f"{words}, its error is {now} in {rows} of the new version, {then} before"
