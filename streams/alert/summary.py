"""Say in one plain sentence what has become of an alert.

Rule 1. A sentence names figures of many rows, never a row: it goes to the log. A category that was
        never seen before is in its field alone.
Rule 2. A sentence stays one line, and short, whatever the figures.
Rule 3. Who has never read the documentation understands it: "normal" is the series' first
        reference. Who is called also reads what to look at first.
"""

from collections.abc import Sequence

from schemas.wire import to_epoch_ms
from streams.alert.transition import QUALITY_ASPECTS, Transition
from streams.change import Change

MAX_NAMED = 3


def summary_of(
    step: Transition, model_id: str, started_at: str, detected_at: str, others: Sequence[str]
) -> str:
    """Say what has happened.

    Parameters
    ----------
    step
        The transition.
    model_id
        The model.
    started_at, detected_at
        The estimated onset, and the instant of the transition.
    others
        Which series have changed as well, those first that say most.
    """
    said = f"Model {model_id}: {_saying(step, started_at, detected_at)}."
    if step.status == "resolved":
        return said
    if step.is_flapping:
        said += " It comes and goes: this is the third time in a short while."
    if step.condition is None and others:
        said += f" Changed as well: {_listed([_named(each) for each in others[:MAX_NAMED]])}."
    if step.condition is None and step.status == "firing":
        said += f" {_advice(step)}"
    if step.acknowledged is not None:
        said += f" {step.acknowledged.by} has taken note of it."
    return said


def _saying(step: Transition, started_at: str, detected_at: str) -> str:
    took = _duration(to_epoch_ms(detected_at) - to_epoch_ms(started_at))
    if step.status == "resolved":
        return f"{_over(step)}, after {took}"
    if step.condition is not None:
        return step.condition.says
    if step.status == "ongoing":
        return f"{_subject(step)} is still not back to normal after {took}: {_now(step)}"
    change = step.change
    unit = "labelled row" if step.role in {"error", "outcome"} else "prediction"
    rows = f"{change.rows:,} {unit}{'' if change.rows == 1 else 's'}"
    since = f"since {started_at[:16].replace('T', ' ')} UTC, {rows} ago"
    return f"{_subject(step)} {_happening(step)}, {since}"


def _subject(step: Transition) -> str:
    if step.condition is not None:
        return f"{step.series} ({step.aspect})"
    return _named(step.series)


def _named(series: str) -> str:
    name = series.removeprefix("feature/")
    return f"the {series}" if name == series else f"feature {name}"


def _over(step: Transition) -> str:
    because = step.because or "returned"
    if because != "returned":
        return f"{_subject(step)} {_OVER[because]}"
    if step.condition is not None and step.condition.over:
        return step.condition.over
    stays = " and stays there" if step.is_flapping else ""
    return f"{_subject(step)} is back to normal{stays}"


_OVER = {
    "accepted": "is accepted as it is now",
    "relearned": "is learnt anew",
    "removed": "is no longer watched",
}


def _advice(step: Transition) -> str:
    if step.aspect in QUALITY_ASPECTS:
        return "Look at what fills it."
    if step.role == "error" and step.change.direction == "down":
        return "Fewer errors than usual: see whether outcomes are missing."
    return _ADVICE[step.role]


_ADVICE = {
    "feature": "Look at what fills it, and at the error.",
    "prediction": "Look at the model's features and its version.",
    "score": "Look at the model's features and its version.",
    "error": "Look at the model's features; if these are right, retrain it.",
    "outcome": "Look at what sends outcomes, and at the error.",
}


def _listed(names: Sequence[str]) -> str:
    """Name things in a sentence.

    Examples
    --------
    >>> _listed(["the error", "the score", "feature age"])
    'the error, the score and feature age'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


_NOW = {
    "missing": "{value} of its values are missing, normally {baseline}",
    "unseen": "{value} of its values are ones never seen before",
    "stuck": "it repeats one value",
    "constant": "it varies",
    "type": "{value} of its values are of another type",
    "share": "the share of {category!r} is {value}, normally {baseline}",
    "level": "it is {value}, normally {baseline}{size}",
    "spread": "its standard deviation is {value}, normally {baseline}",
}


def _now(step: Transition) -> str:
    change = step.change
    is_share = change.effect_unit == "odds_ratio" or step.aspect in QUALITY_ASPECTS
    return _NOW[step.aspect].format(
        value=_figure(change.value, is_share=is_share),
        baseline=_figure(change.baseline, is_share=is_share),
        size=_size(change),
        category=change.category,
    )


def _duration(ms: int) -> str:
    """Say how long something took, in the two largest units.

    Examples
    --------
    >>> [_duration(ms) for ms in (0, 59_000, 12_000_000, 93_600_000, 864_000_000)]
    ['0 s', '59 s', '3 h 20 min', '1 d 2 h', '10 d']
    """
    seconds = max(ms, 0) // 1_000
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0 s"


_HAPPENING = {
    "level": "{went} {figures}",
    "missing": "is missing at another rate: it {went} {figures}",
    "unseen": "has a value never seen before",
    "stuck": "repeats one value and does not move any more",
    "constant": "was constant and is no longer",
    "type": "has values of another type than before",
    "share": "has another mix: the share of {category!r} {went} {figures}",
    "spread": "spreads differently: its standard deviation {went} {figures}",
}


def _happening(step: Transition) -> str:
    change = step.change
    if step.aspect == "missing" and change.detector == "rule":
        return "has its first missing value"
    return _HAPPENING[step.aspect].format(
        went={"up": "rose", "down": "fell"}.get(change.direction or "", "changed"),
        figures=_from_to(change),
        category=change.category,
    )


def _from_to(change: Change) -> str:
    is_share = change.effect_unit == "odds_ratio"
    before, now = (_figure(each, is_share=is_share) for each in (change.baseline, change.value))
    return f"from {before} to {now}{_size(change)}"


def _figure(figure: float | None, *, is_share: bool) -> str:
    if figure is None:
        return "an unknown figure"
    if is_share:
        return f"{100 * figure:.1f} %"
    return f"{figure:,.0f}" if 1e3 <= abs(figure) < 1e12 else f"{figure:,.4g}"


def _size(change: Change) -> str:
    if change.effect is None or change.effect_unit != "sd":
        return ""  # shares and deviations speak for themselves
    sign = "-" if change.direction == "down" else "+"
    return f" ({sign}{abs(change.effect):.2f} standard deviations)"
