"""Distributions of a model's series for the page: before and after, and over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.page.store import ModelRecords
from schemas.wire import to_epoch_ms

MOST_PARTS = 12
"""Categories in a picture; the rest are one part."""
MOST_FEATURES = 200
"""Series that a view of a model shows, those that moved most first."""
MOST_HOURS = 168
"""Hours that are shown, a week; days stand for the time before."""
_QUANTILES = ("p05", "p50", "p95")

Record = dict[str, Any]


def blocks_of(model: ModelRecords) -> list[Record]:
    """Return the hours of the model's series, and before them its days, the oldest first."""
    hours, days = model.records("series_hour"), model.records("series_day")
    hours.sort(key=_start)
    days.sort(key=_start)
    hours = hours[-MOST_HOURS:]
    first = _start(hours[0]) if hours else None
    return [day for day in days if first is None or str(day.get("end")) <= first] + hours


def references_of(model: ModelRecords) -> dict[str, Record]:
    """Return the references of the model by their ids."""
    return {str(each.get("reference_id")): each for each in model.records("reference")}


def series_view(model: ModelRecords, series: str, onset: str) -> dict[str, Any]:
    """Return a series over time, and its distribution before and since an onset.

    Parameters
    ----------
    model
        The records.
    series
        The series.
    onset
        The instant, as in an alert.
    """
    found = list(_of_series(blocks_of(model), series))
    references = references_of(model)
    since = [summary for block, summary in found if _ends_after(block, onset)]
    reference = _reference_of(references, series, since)
    return {
        "points": _columns(_point(block, summary) for block, summary in found),
        "reference": reference,
        "change": None if reference is None else _change(reference, since),
    }


def features_view(model: ModelRecords) -> list[dict[str, Any]]:
    """Return the latest distribution of each series beside its reference, the farthest first."""
    references = references_of(model)
    latest: dict[str, list[tuple[Record, Record]]] = {}
    for block in blocks_of(model):
        for summary in block.get("series", ()):
            found = latest.setdefault(str(summary.get("series")), [])
            # The hours of the latest day in which the series had values.
            if found and _day(found[0][0]) != _day(block):
                found.clear()
            found.append((block, summary))
    features = [_feature(references, name, found) for name, found in latest.items()]
    features.sort(key=lambda each: -((each["drift"] or {}).get("psi") or 0.0))
    return features[:MOST_FEATURES]


def _feature(
    references: Mapping[str, Record], name: str, found: Sequence[tuple[Record, Record]]
) -> Record:
    summaries = [summary for _, summary in found]
    reference = _reference_of(references, name, summaries)
    last = summaries[-1]
    return {
        "series": name,
        "role": last.get("role"),
        "start": found[0][0].get("start"),
        "end": found[-1][0].get("end"),
        "rows": sum(each.get("rows") or 0 for each in summaries),
        "missing": last.get("missing"),
        "drift": last.get("drift"),
        "kind": None if reference is None else reference.get("kind"),
        "change": None if reference is None else _change(reference, summaries),
    }


def _day(block: Record) -> str:
    return _start(block)[:10]


def _of_series(blocks: Iterable[Record], series: str) -> Iterable[tuple[Record, Record]]:
    for block in blocks:
        for summary in block.get("series", ()):
            if summary.get("series") == series:
                yield block, summary


def _reference_of(
    references: Mapping[str, Record], series: str, summaries: Sequence[Record]
) -> Record | None:
    """Return the reference of the latest summary, or else the latest one of the series."""
    named = [str(each.get("reference_id")) for each in summaries]
    for reference_id in reversed(named):
        if reference_id in references:
            return references[reference_id]
    own = [each for each in references.values() if each.get("series") == series]
    return own[-1] if own else None


def _change(reference: Record, summaries: Sequence[Record]) -> dict[str, Any] | None:
    """Return shares before and now: of bins, of categories, or None where none were published."""
    same = [each for each in summaries if each.get("reference_id") == reference.get("reference_id")]
    histogram = reference.get("histogram")
    counts = _summed([each.get("histogram") for each in same])
    parts = reference.get("categories") or []
    named = _summed([each.get("categories") for each in same])
    total = sum(counts) + sum(named)
    if not total:
        return None
    change: dict[str, Any] = {"rows": total}
    if histogram and len(counts) == len(histogram["shares"]):
        # Values beyond the outer edges stand in the outer bins: a tail has no width to draw.
        change["edges"] = histogram["edges"]
        change["was"] = _folded(histogram["shares"])
        change["is"] = _folded([each / total for each in counts])
    if parts and len(named) >= len(parts):
        change["parts"] = _parts(parts, [each / total for each in named])
    return change


def _parts(parts: Sequence[Record], now: Sequence[float]) -> list[dict[str, Any]]:
    """Return the commonest categories, with what is in none of them as the last."""
    rows = [
        (str(part.get("category")), float(part.get("share") or 0.0), share)
        for part, share in zip(parts, now, strict=False)
    ]
    rows.sort(key=lambda row: -max(row[1:]))
    shown, folded = rows[:MOST_PARTS], rows[MOST_PARTS:]
    before = sum(row[1] for row in folded)
    after = sum(now[len(parts) :]) + sum(row[2] for row in folded)
    if before or after:
        shown.append(("(other)" if folded else "(new)", before, after))
    return [dict(zip(("category", "baseline", "value"), row, strict=True)) for row in shown]


def _folded(shares: Sequence[float]) -> list[float]:
    inner = list(shares[1:-1])
    if not inner:
        return []
    inner[0] += shares[0]
    inner[-1] += shares[-1]
    return inner


def _summed(counts: Iterable[Sequence[int] | None]) -> list[int]:
    known = [each for each in counts if each]
    return [sum(column) for column in zip(*known, strict=False)]


def _columns(points: Iterable[Record]) -> dict[str, list[Any]]:
    """Return points as columns: a report has many, and their names once."""
    rows = list(points)
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {"start": []}


def _point(block: Record, summary: Record) -> Record:
    quantiles = summary.get("quantiles") or {}
    categories = summary.get("categories") or []
    return {
        "start": block.get("start"),
        "rows": summary.get("rows"),
        "missing": summary.get("missing"),
        "mean": summary.get("mean"),
        "psi": (summary.get("drift") or {}).get("psi"),
        "categories": categories if len(categories) > 1 else None,
        **{name: quantiles.get(name) for name in _QUANTILES},
    }


def _ends_after(block: Record, onset: str) -> bool:
    return to_epoch_ms(block.get("end")) > to_epoch_ms(onset)


def _start(record: Record) -> str:
    return str(record.get("start"))
