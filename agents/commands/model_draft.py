"""A first spec of a model, drafted from its data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from agents.commands.models import UnknownModelError, view_of
from agents.kafka.read import read_json, read_whole
from agents.settings import Settings
from schemas.model_spec import ModelSpec
from schemas.topics import model_partition
from streams.clock import duration_text
from streams.model.model import ModelMonitor

LATEST_LABELLED = 5_000
"""Labelled rows of a partition from which the delays of outcomes are taken. The 99th percentile of
5,000 rows rests on 50 of them."""
_SHOWN_CATEGORIES = 3
"""Categories of a series that are named in its comment; more do not fit on a line."""


async def draft_spec(settings: Settings, model_id: str) -> str:
    """Return a spec as YAML with comments; applied unchanged, it has no effect.

    Raises
    ------
    UnknownModelError
        When no worker has saved anything of the model.
    """
    topics = settings.topics
    view = await view_of(settings, model_id)
    found = view.restore(0, lambda _model_id: ModelSpec(), topics.name("labelled"))
    if model_id not in found.models:
        lost = f" ({'; '.join(found.losses)})" if found.losses else ""
        raise UnknownModelError(
            f"no worker has saved anything of a model {model_id!r} at {settings.broker}{lost}: a "
            "spec needs only a model_id, and docs/wire.md lists its fields"
        )
    model, offset = found.models[model_id]
    partition = model_partition(model_id, settings.partitions)
    place = f"{topics.name('events')}-{partition} offset {offset:,}"
    return write_draft(model, place, await _delays_s(settings, model_id, partition))


def write_draft(model: ModelMonitor, place: str, delays_s: Sequence[float]) -> str:
    """Return the spec in force of a model as YAML, with its data described in comments.

    Parameters
    ----------
    model
        The model.
    place
        The place in the log up to which it was read, in words.
    delays_s
        Delays of its latest outcomes in seconds, ascending.
    """
    return "\n".join(_lines(model, place, delays_s)) + "\n"


async def _delays_s(settings: Settings, model_id: str, partition: int) -> list[float]:
    """Return the delays of the latest outcomes in seconds, ascending."""
    labelled = settings.topics.name("labelled")
    return sorted(
        [
            row["delay_s"]
            async for record in read_whole(settings, labelled, partition, latest=LATEST_LABELLED)
            if record.key == model_id.encode() and (row := read_json(record.value, "delay_s"))
        ]
    )


def _lines(model: ModelMonitor, place: str, delays_s: Sequence[float]) -> Iterator[str]:
    spec, seen = model.in_force.spec, model.series.describe()
    yield f"# A spec of {_text(model.model_id)}, drafted from its events up to {place}:"
    yield f"# {model.counts.predictions:,} predictions, {model.counts.labelled:,} of them labelled."
    yield "# Every field is optional. Edit the file, then run:"
    yield "#   ./tidegauge models apply FILE"
    yield _field("model_id", model.model_id)
    yield "\n# The person or team that is responsible for the model."
    yield _field("owner", spec.owner) if spec.owner else "# owner: a name"
    yield "\n# binary, multiclass or regression; by default inferred from the predictions."
    task = _field("task", spec.task or _task(model, seen))
    yield task if spec.task else f"# {task}"
    yield "\n# False alarms accepted per 10,000 predictions, over all series together."
    yield _field("alert_budget", spec.alert_budget)
    yield from _features(spec, seen)
    yield "\nreference:\n  # Rows from which the reference of a series is learnt."
    yield _field("  rows", spec.reference.rows)
    yield "  # References learnt offline by `./tidegauge profile`: these need not learn live."
    yield f"  # profile: profile.json{_kept_profile(spec)}"
    yield from _rules(model, delays_s)


def _rules(model: ModelMonitor, delays_s: Sequence[float]) -> Iterator[str]:
    spec = model.in_force.spec
    rules = spec.alerts
    yield "\noutcome:"
    yield f"  # {_delay_text(delays_s)}"
    wait = duration_text(1_000 * spec.outcome.wait_s)
    yield f"  # Seconds that a prediction waits for its outcome ({wait})."
    yield _field("  wait_s", spec.outcome.wait_s)
    yield f"  # Most predictions that wait; {model.join.waiting_predictions:,} do now."
    yield _field("  max_waiting", spec.outcome.max_waiting)
    yield "\nalerts:"
    span = duration_text(1_000 * rules.renotify_s)
    yield f"  # Seconds after which an alert that is still firing is published again ({span})."
    yield _field("  renotify_s", rules.renotify_s)
    yield "  # Further checks that must confirm a change before its alert fires; 0 fires at once."
    yield _field("  hold", rules.hold)


def _features(spec: ModelSpec, seen: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "\n# The series, and the type of each:"
    width = max((len(_text(series)) for series in seen), default=0)
    for series, described in seen.items():
        yield f"#   {_text(series):<{width}}  {_kind(described)}"
    if not seen:
        yield "#   none yet"
    yield "features:"
    yield "  # Not watched, by name, without feature/ in front."
    yield _field("  ignore", list(spec.features.ignore))
    yield "  # Numbers that are codes, not quantities."
    yield _field("  categorical", list(spec.features.categorical))


def _kind(described: dict[str, Any]) -> str:
    reference = described["reference"] or described["original"]
    if reference is None:
        return f"still learning, {described['seen']:,} values"
    match reference["kind"]:
        case "numeric":
            return f"numbers, {reference['mean']:.6g} on average, sd {reference['sd']:.3g}"
        case "categorical":
            shares = list(reference["shares"].items())
            shown = [f"{_text(name)} {share:.0%}" for name, share in shares[:_SHOWN_CATEGORIES]]
            more = len(shares) - len(shown) + reference["other_categories"]
            return f"categories: {', '.join(shown)}{f' and {more:,} more' if more else ''}"
        case "constant":
            return "always the same value"
        case _:
            return f"text with few repetitions, {reference['distinct']:,} values; not watched"


def _task(model: ModelMonitor, seen: dict[str, dict[str, Any]]) -> str:
    if model.series.state.is_regression:
        return "regression"
    reference = seen.get("prediction", {}).get("reference") or {}
    classes = len(reference.get("shares", ())) + reference.get("other_categories", 0)
    return "multiclass" if classes > 2 else "binary"


def _delay_text(delays_s: Sequence[float]) -> str:
    if not delays_s:
        return "No outcome has been joined with its prediction yet."
    half, most = (delays_s[int(share * (len(delays_s) - 1))] for share in (0.5, 0.99))
    return (
        f"Of the latest {len(delays_s):,} outcomes half came within "
        f"{duration_text(1_000 * half)}, 99 % within {duration_text(1_000 * most)}."
    )


def _kept_profile(spec: ModelSpec) -> str:
    kept = len(spec.reference.profile)
    return f"   # in force: one with {kept} series; name its file to keep it" if kept else ""


def _field(name: str, value: object) -> str:
    indent = name[: len(name) - len(name.lstrip())]
    text = yaml.safe_dump({name.strip(): value}).rstrip("\n")
    return "\n".join(indent + line for line in text.split("\n"))


def _text(name: str) -> str:
    """Return a name without line breaks, for a comment."""
    return name if name.isprintable() else repr(name)
