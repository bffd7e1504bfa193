"""Summarise the transition of an alert in one sentence for an on-call engineer.

Rule 1. A sentence has aggregates only, never a value of one row: it goes to the log. A category
        outside the reference stands in its field alone, until its share has raised an alarm.
Rule 2. A sentence is one line of at most ``MAX_CHARACTERS``. Names of other
        series are left out first; then clauses about money, as a whole; then names are cut in the
        middle, and the last sentences are left out.
Rule 3. "Normal" is the first reference of the series; one made of training data is called so. The
        advice stands last.
"""

import math
import sys
from collections.abc import Sequence

from schemas.alert import ValueAtRisk
from schemas.wire import to_epoch_ms, to_rfc3339
from streams.alert.transition import Transition
from streams.aspects import ASPECTS
from streams.change import Figures
from streams.clock import DAY_MS, duration_text
from streams.values import OTHER, printable

MAX_CHARACTERS = 200
"""The length of a summary: two lines of a terminal, and one push notification."""
MAX_NAMED = 3
"""Other series named in a sentence; the alert has all of them."""

DIGITS = 4
"""Significant digits of a figure, unless the difference of two needs more."""
MAX_WHOLE = 12
"""Digits before the point; a greater figure has an exponent."""
DOUBLE_DIGITS = 15
"""Decimal digits that a double holds of any number."""

_FORMS = (
    (MAX_NAMED, 3, 256),
    (1, 3, 256),
    (0, 3, 256),
    (0, 2, 256),
    (0, 1, 256),
    (0, 1, 32),
    (0, 1, 16),
    (0, 1, 12),
)
"""Other series named, clauses about money, and characters of a name: the first form that is short
enough is taken."""
_ADVICE = {
    "feature": "Check its upstream source.",
    "prediction": "Check the model's features and version.",
    "score": "Check the model's features and version.",
    "error": "Check the features; if they are right, retrain the model.",
    "outcome": "Check the source of outcomes.",
    "attribution": "Check the model's version and its inputs.",
    "joint": "Check how features are joined upstream.",
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT_ADVICE = "Check the features, or retrain."
"""Advice about the error beside a sentence about money: both fit into ``MAX_CHARACTERS``."""
_OF_TRAFFIC = {"normally": "normally", "reference": "its reference"}
_OF_TRAINING = {"normally": "in training", "reference": "its training profile"}
"""Words for the reference, by what it was made of."""
_CLOSED = {
    "accepted": "the change of {subject} is accepted as normal",
    "relearned": "{subject} is learned from the beginning",
    "removed": "{subject} is no longer monitored",
}


def summary_of(
    transition: Transition,
    model_id: str,
    span_ms: tuple[int, int],
    others: Sequence[str],
    value: ValueAtRisk | None = None,
) -> str:
    """Return the sentence for a transition.

    Parameters
    ----------
    transition
        The transition.
    model_id
        The model.
    span_ms
        The estimated onset, and the instant of the transition, in epoch milliseconds.
    others
        Other series with an open alert, the most telling first.
    value
        The money lost since the onset, where it is told.

    Returns
    -------
    str
        At most ``MAX_CHARACTERS`` characters.
    """
    started_ms, detected_ms = span_ms
    money = _money(transition, value)
    since = to_rfc3339(started_ms)[:16].replace("T", " ") + " UTC"
    took = duration_text(detected_ms - started_ms)
    sentences: list[str] = []
    for named, clauses, width in _FORMS:
        shown = [_subject(name, width) for name in others[:named]]
        event = _event(transition, since, took, width, has_money=bool(money))
        remarks = _remarks(transition, shown, has_money=bool(money))
        said = [f"{''.join(money[:clauses])}."] if money else []
        sentences = [f"Model {cut(model_id, width)}: {event}.", *said, *remarks]
        if _length(sentences) <= MAX_CHARACTERS:
            break
    while len(sentences) > 1 and _length(sentences) > MAX_CHARACTERS:
        del sentences[-1]
    text = " ".join(sentences)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"


def _length(sentences: Sequence[str]) -> int:
    return sum(map(len, sentences)) + len(sentences) - 1


def _remarks(transition: Transition, others: Sequence[str], *, has_money: bool) -> list[str]:
    if transition.status == "resolved":
        return []
    remarks = []
    if transition.is_flapping:
        remarks.append("It comes and goes.")
    if transition.condition is None and others:
        remarks.append(f"Also changed: {_listed(others)}.")
    if transition.acknowledged is not None:
        remarks.append(f"Acknowledged by {cut(transition.acknowledged.by, 32)}.")
    if transition.condition is None and transition.status == "firing":
        is_short = has_money and transition.role == "error"
        remarks.append(_SHORT_ADVICE if is_short else _advice(transition))
    return remarks


def _money(transition: Transition, value: ValueAtRisk | None) -> tuple[str, ...]:
    """Return the clauses about money: of the error always, of other series where it is lost."""
    if value is None or transition.status == "resolved":
        return ()
    lost, low, worse = value.lost, value.low, value.deterioration
    if lost is None or low is None or value.per_day is None or worse is None:
        return ("Its cost is not known yet",) if transition.role == "error" else ()
    if low <= 0 and transition.role != "error":
        return ()
    since_ms = to_epoch_ms(value.since)
    is_recent = to_epoch_ms(value.as_of) - since_ms < 7 * DAY_MS
    day = _WEEKDAYS[(since_ms // DAY_MS + 3) % 7] if is_recent else value.since[:10]
    amount = f"{_rounded(lost)} {printable(value.currency)}"
    if low <= 0:
        return (f"Lost since {day}: about {amount}, not certain yet",) if lost > 0 else ()
    cause = (", mostly by riskier cases",) if worse < lost / 2 else ()
    a_day = _rounded(value.per_day)
    said = f"About {amount} lost since {day}, {a_day} a day"
    return (said, *cause, "; open labels are counted in")


def _rounded(money: float) -> str:
    """Return an amount as it is said aloud, in three digits.

    Examples
    --------
    >>> [_rounded(x) for x in (12_413.4, 1_903_111, 87.61, 3)]
    ['12,400', '1,900,000', '87.6', '3']
    """
    digits = 3 - len(str(int(abs(money))))
    return f"{round(money, digits):,.{max(digits, 0)}f}".removesuffix(".00").removesuffix(".0")


def _event(transition: Transition, since: str, took: str, width: int, *, has_money: bool) -> str:
    """Return the clause about the change; beside one about money it has no rows."""
    subject = _subject(transition.series, width)
    if transition.change.left_out and transition.status != "resolved":
        subject += f" (without {cut(', '.join(transition.change.left_out), width)})"
    if transition.status == "resolved":
        return f"{_end(transition, subject)}, after {took}"
    if transition.condition is not None:
        return transition.condition.says
    aspect, figures = ASPECTS[transition.aspect], transition.change.figures
    category = transition.change.category
    words = {"subject": subject, "category": _quoted(category, width), "types": category or ""}
    words |= _OF_TRAINING if transition.change.is_of_training else _OF_TRAFFIC
    is_share = figures.unit == "odds_ratio" or not aspect.is_drift
    now, normal = _pair(figures.value, figures.baseline, is_share=is_share)
    if transition.status == "ongoing":
        clause = aspect.ongoing.format(**words, value=now, baseline=normal, size=_size(figures))
        return f"still not normal after {took}: {clause}"
    went = {"up": "rose", "down": "fell"}.get(figures.direction or "", "changed")
    place = " in training" if transition.change.is_of_training else ""
    moved = f"from {normal}{place} to {now}{_size(figures)}"
    sentence = aspect.first if aspect.first and figures.value is None else aspect.fired
    clause = sentence.format(**words, went=went, figures=moved)
    unit = "labelled row" if transition.role in {"error", "outcome"} else "prediction"
    plural = "" if figures.rows == 1 else "s"
    at_age = transition.change.at_age
    within = "" if at_age is None else f", in labels known within {duration_text(at_age.age_ms)}"
    rows = "" if has_money else f", {figures.rows:,} {unit}{plural} ago"
    return f"{clause}, since {since}{rows}{within}"


def _end(transition: Transition, subject: str) -> str:
    because = transition.because or "returned"
    if transition.condition is not None:
        if because == "returned" and transition.condition.over:
            return transition.condition.over
        subject = f"{transition.series} ({transition.aspect})"
    if because == "returned":
        return f"{subject} is back to normal{' and stays there' if transition.is_flapping else ''}"
    return _CLOSED[because].format(subject=subject)


def _advice(transition: Transition) -> str:
    if not ASPECTS[transition.aspect].is_drift:
        return _ADVICE["feature"]
    at_age = transition.change.at_age
    if at_age is not None and at_age.comes_differently:
        return "Labels come differently: check their source first."
    if transition.role == "error" and transition.change.figures.direction == "down":
        return "Fewer errors than usual: check whether outcomes are missing."
    return _ADVICE[transition.role]


def _subject(series: str, width: int) -> str:
    if series.startswith("segment/"):
        return f"errors of {cut(series.removeprefix('segment/'), width)}"
    if series.startswith("attribution/"):
        return f"the part of {cut(series.removeprefix('attribution/'), width)} in answers"
    if series == "joint":
        return "the joint distance of features"
    name = series.removeprefix("feature/")
    return f"the {series}" if name == series else f"feature {cut(name, width)}"


def _quoted(category: str | None, width: int) -> str:
    """Return a category in quotes; text that reads like another value is said to be text.

    Examples
    --------
    >>> _quoted("web", 16), _quoted("1", 16), _quoted('"1"', 16), _quoted("(other)", 16)
    ("'web'", "'1'", "the text '1'", 'all other categories')
    """
    name = category or ""
    if name == OTHER:
        return "all other categories"
    if len(name) > 1 and name[0] == name[-1] == '"':
        return f"the text {_quoted_name(name[1:-1], width)}"
    return _quoted_name(name, width)


def _quoted_name(name: str, width: int) -> str:
    shown = cut(name, width)
    return f'"{shown}"' if "'" in shown else f"'{shown}'"


def cut(name: str, width: int) -> str:
    """Return a name as it can be shown, of at most ``width`` characters, cut in the middle.

    Examples
    --------
    >>> cut("monthly_income_before_tax", 16), cut("income", 16)
    ('monthly_…ore_tax', 'income')
    """
    name = printable(name)
    if len(name) <= width:
        return name
    return f"{name[: width // 2]}…{name[len(name) - (width - width // 2 - 1) :]}"


def _listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    Examples
    --------
    >>> _listed(["the error", "the score", "feature age"])
    'the error, the score and feature age'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _pair(now: float | None, normal: float | None, *, is_share: bool) -> tuple[str, str]:
    """Return two figures with enough digits to tell them apart.

    Examples
    --------
    >>> _pair(48.8606, 48.8566, is_share=False), _pair(155.5, 99.94, is_share=False)
    (('48.8606', '48.8566'), ('155.5', '99.94'))
    >>> _pair(0.996, 0.992, is_share=True)
    ('99.60 %', '99.20 %')
    """
    unit, scale = (" %", 100.0) if is_share else ("", 1.0)
    shown = [None if each is None else scale * each for each in (now, normal)]
    decimals = _decimals_apart(shown[0], shown[1])
    first, second = (
        "unknown" if each is None else _figure(each, decimals, is_share=is_share) + unit
        for each in shown
    )
    return first, second


def _decimals_apart(now: float | None, normal: float | None) -> int:
    """Return the decimals at which the last digit is at most a tenth of the difference.

    Below 0 for tens, hundreds and so on; the least there is where there is no difference.
    """
    gap = 0.0 if now is None or normal is None else abs(now - normal)
    if now is None or normal is None or not 0 < gap < math.inf:
        return -sys.float_info.max_10_exp
    known = DOUBLE_DIGITS - max(math.log10(max(abs(now), abs(normal))), 0)
    return math.ceil(min(1 - math.log10(gap), known))


def _figure(figure: float, decimals: int, *, is_share: bool) -> str:
    if is_share:
        return f"{figure:.{max(decimals, 1)}f}"
    whole = math.floor(math.log10(abs(figure))) + 1 if figure else -DIGITS
    if -DIGITS < whole <= MAX_WHOLE and decimals > max(DIGITS - whole, 0):
        return f"{figure:,.{decimals}f}"
    if DIGITS <= whole <= MAX_WHOLE:
        return f"{figure:,.0f}"
    return f"{figure:,.{min(max(DIGITS, whole + decimals), DOUBLE_DIGITS)}g}"


def _size(figures: Figures) -> str:
    if figures.effect is None or figures.unit != "sd":
        return ""  # shares and deviations speak for themselves
    sign = "-" if figures.direction == "down" else "+"
    return f" ({sign}{abs(figures.effect):.2f} sd)"
