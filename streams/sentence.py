"""Say in one plain sentence what has become of an alert.

Rule 1. A sentence names figures of many rows, never a row: it goes to the log. A category that was
        never seen before is in its field alone.
Rule 2. A sentence stays one line, and short, whatever the figures.
"""

from schemas.wire import to_epoch_ms
from streams.lifecycle import QUALITY_ASPECTS, Step
from streams.watch import Change


def summary_of(
    step: Step, model_id: str, started_at: str, detected_at: str, followers: tuple[str, ...]
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
    followers
        Which of the error, the score and the prediction have changed as well.
    """
    said = f"Model {model_id}: {_saying(step, started_at, detected_at)}."
    if step.status == "resolved":
        return said
    if step.is_flapping:
        said += " It comes and goes: it has fired three times in a short while."
    if step.condition is None and followers:
        said += f" Changed as well: the {_listed(followers)}."
    if step.acknowledged is not None:
        said += f" {step.acknowledged.by} has taken note of it."
    return said


def _saying(step: Step, started_at: str, detected_at: str) -> str:
    took = _duration(to_epoch_ms(detected_at) - to_epoch_ms(started_at))
    if step.status == "resolved":
        return f"{_subject(step)} {_OVER[step.because or 'returned']} after {took}"
    if step.condition is not None:
        return step.condition.says
    if step.status == "ongoing":
        return f"{_subject(step)} is still away from its reference after {took}: {_now(step)}"
    change = step.change
    unit = "labelled row" if step.role in {"error", "outcome"} else "prediction"
    rows = f"{change.rows:,} {unit}{'' if change.rows == 1 else 's'}"
    since = f"since {started_at[:16].replace('T', ' ')} UTC, {rows} ago"
    return f"{_subject(step)} {_happening(step)}, {since}"


def _subject(step: Step) -> str:
    if step.condition is not None:
        return f"{step.series} ({step.aspect})"
    name = step.series.removeprefix("feature/")
    return f"feature {name}" if step.role == "feature" else f"the {name}"


_OVER = {
    "returned": "is back at its reference",
    "accepted": "is accepted as it is now,",
    "relearned": "is learnt anew,",
    "removed": "is no longer watched,",
}


def _listed(names: tuple[str, ...]) -> str:
    """Name things in a sentence.

    Examples
    --------
    >>> _listed(("error", "score", "prediction"))
    'error, the score and the prediction'
    """
    *first, last = names
    return f"{', the '.join(first)} and the {last}" if first else last


_NOW = {
    "missing": "{value} of its values are missing, of the reference's {baseline}",
    "unseen": "{value} of its values are ones never seen before",
    "stuck": "it repeats one value",
    "constant": "it varies",
    "type": "{value} of its values are of another type",
    "share": "the share of {category!r} is {value}, in the reference {baseline}{size}",
    "level": "it is {value}, in the reference {baseline}{size}",
    "spread": "its standard deviation is {value}, in the reference {baseline}",
}


def _now(step: Step) -> str:
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


def _happening(step: Step) -> str:
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
    if change.effect is None:
        return ""
    if change.effect_unit == "sd":
        sign = "-" if change.direction == "down" else "+"
        return f" ({sign}{abs(change.effect):.2f} reference standard deviations)"
    return f" (odds x {change.effect:.2f})" if change.effect_unit == "odds_ratio" else ""
