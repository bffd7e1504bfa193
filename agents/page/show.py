"""One alert in a terminal: the view of the page, in characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agents.commands.controls import UnknownAlertError
from agents.commands.metrics import bars
from agents.kafka.read import read_json, read_whole
from agents.page.gather import read_model
from agents.page.views import alert_view
from agents.settings import Settings
from agents.text import printable
from schemas.topics import TopicRole
from schemas.wire import to_epoch_ms
from streams.clock import duration_text

SHOWN_BINS = 10
"""Lines of a histogram at most: neighbours are put together."""
SHOWN_POINTS = 60
"""Points of the series over time: one character each."""
_BAR = 20
"""Characters of a bar that is full."""
_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_ROOT = Path(__file__).resolve().parents[2]
View = Mapping[str, Any]


async def find_view(settings: Settings, beginning: str) -> dict[str, Any]:
    """Return the view of the alert whose fingerprint begins as given, open or over.

    Raises
    ------
    UnknownAlertError
        When there is no such alert, or more than one.
    OperatorError, BrokerUnreachableError
        When a topic or the broker is not there.
    """
    named = await _named(settings, "status", beginning) or await _named(
        settings, "alerts", beginning
    )
    if len(named) > 1:
        msg = f"{len(named)} alerts begin with {beginning!r}: give more of the fingerprint"
        raise UnknownAlertError(msg)
    for fingerprint, model_id in named.items():
        store = await read_model(settings, model_id)
        if (view := alert_view(store, fingerprint)) is not None:
            return view
    raise UnknownAlertError(
        f"no alert {beginning!r} is known at {settings.broker}: `./tidegauge status` lists those "
        "that are firing, `./tidegauge tail alerts --from-beginning --no-follow` all"
    )


async def _named(settings: Settings, role: TopicRole, beginning: str) -> dict[str, str]:
    """Return the models of the alerts whose fingerprint begins so, by fingerprint."""
    found: dict[str, str] = {}
    mark = f'"fingerprint":"{beginning}'.encode()
    async for record in read_whole(settings, settings.topics.name(role)):
        if mark not in (record.value or b""):
            continue
        value = read_json(record.value, "fingerprint") or {}
        alert = value.get("alert") if role == "status" else value
        fingerprint = value.get("fingerprint")
        if isinstance(alert, dict) and str(fingerprint).startswith(beginning):
            found[str(fingerprint)] = str(alert.get("model_id"))
    return found


def runbook_entry(link: str) -> str | None:
    """Return the entry of the runbook that an alert names; None where the file is not here."""
    path, _, anchor = link.partition("#")
    try:
        text = (_ROOT / path).read_text(encoding="utf-8")
    except OSError:
        return None
    _, found, rest = text.partition(f"\n### {anchor}\n")
    entry = rest.partition("\n#")[0].strip()
    return " ".join(entry.split()) if found and entry else None


def as_lines(view: View, now_ms: int) -> Iterator[RenderableType]:
    """Yield the parts of an alert's view, for a terminal of any width."""
    alert = view["alert"]
    yield _heading(view, now_ms)
    yield Text(_clean(alert["summary"]))
    yield from _before_and_after(alert, view["series"])
    yield from _over_time(alert, view["series"]["points"])
    yield from _timeline(view)
    yield from _about(alert, view["row"])
    yield from _moved(view)
    yield from _what_to_do(view)


def _heading(view: View, now_ms: int) -> Text:
    alert = view["alert"]
    lasts = duration_text(now_ms - to_epoch_ms(str(alert["started_at"])))
    state = f"open for {lasts}" if view["is_open"] else f"over ({alert.get('resolved_because')})"
    parts = [
        (f"{alert['severity']}", _STYLE.get(alert["severity"], "")),
        (f"  {_clean(alert['model_id'])}  {_clean(alert['series'])}  {alert['aspect']}  ", "bold"),
        (state, "" if view["is_open"] else "green"),
    ]
    return Text.assemble(*parts)


def _before_and_after(alert: View, series: View) -> Iterator[RenderableType]:
    yield _title("Before and after")
    was, now = (_figure(alert.get(name), alert) for name in ("baseline", "value"))
    if now:
        size = _effect(alert)
        seen = f"{alert['rows_since_onset']:,} rows since the onset"
        yield _line(f"{was or 'unknown'} before, {now} since{size}; {seen}")
    change = series.get("change") or {}
    rows = _histogram(change) if "edges" in change else []
    parts = change.get("parts") or alert.get("categories") or ()
    rows += [(_clean(each["category"]), each["baseline"], each["value"]) for each in parts]
    if rows:
        yield _bars_of(rows)
    else:
        yield _line(
            "No distribution of this series is published: `metrics: {every: hour}` in the spec "
            "of the model asks for it.",
            style="dim",
        )


def _histogram(change: View) -> list[tuple[str, float, float]]:
    edges, step = change["edges"], -(-len(change["was"]) // SHOWN_BINS)
    found = []
    for first in range(0, len(change["was"]), step):
        last = min(first + step, len(change["was"]))
        label = f"{_number(edges[first])} to {_number(edges[last])}"
        found.append((label, sum(change["was"][first:last]), sum(change["is"][first:last])))
    return found


def _bars_of(rows: Sequence[tuple[str, float, float]]) -> Table:
    most = max(max(row[1:]) for row in rows) or 1.0
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column("", justify="right", no_wrap=True, max_width=26)
    for title in ("before", "since the onset"):
        table.add_column(title, no_wrap=True, width=_BAR + 8)
    for label, *shares in rows:
        table.add_row(
            Text(label), *(f"{share:6.1%} {'█' * round(_BAR * share / most)}" for share in shares)
        )
    return table


def _over_time(alert: View, points: Mapping[str, Sequence[Any]]) -> Iterator[RenderableType]:
    means = points.get("mean", ())
    name = "mean" if any(value is not None for value in means) else "psi"
    columns = zip(points["start"], points.get(name, ()), strict=False)
    shown = [(start, float(value)) for start, value in columns if value is not None]
    shown = shown[-SHOWN_POINTS:]
    if len(shown) < 2:
        return
    onset_ms = to_epoch_ms(str(alert["started_at"]))
    onset = sum(to_epoch_ms(str(start)) <= onset_ms for start, _ in shown) - 1
    values = [value for _, value in shown]
    yield _title(f"Over time: {name}, {_number(min(values))} to {_number(max(values))}")
    yield _line(bars(values))
    if onset >= 0:
        yield _line(f"{' ' * onset}^ onset")
    yield _line(f"{_when(shown[0][0])} to {_when(shown[-1][0])}", style="dim")


def _timeline(view: View) -> Iterator[RenderableType]:
    yield _title("Timeline")
    alert = view["alert"]
    yield _line(f"{_when(alert['started_at'])}  onset, as estimated")
    for each in view["transitions"]:
        figure = _figure(each.get("value"), alert)
        words = (each["status"], each["severity"], figure, each.get("resolved_because"))
        yield _line(f"{_when(each['detected_at'])}  {', '.join(filter(None, words))}")
    if note := alert.get("acknowledged"):
        because = f": {note['because']}" if note.get("because") else ""
        yield _line(f"{_when(note['at'])}  {_clean('acknowledged by ' + note['by'] + because)}")
    if until := alert.get("muted_until"):
        yield _line(f"{_when(until)}  end of its mute")
    if earlier := len(view["earlier"]):
        times = "time" if earlier == 1 else "times"
        yield _line(f"It has fired {earlier} {times} before.", style="dim")


def _about(alert: View, row: View) -> Iterator[RenderableType]:
    yield _title("Where")
    segment = alert.get("segment") or {}
    told = {
        "version": alert.get("model_version") or "unknown",
        "owner": row.get("owner") or "none in its spec",
        "segment": ", ".join(f"{name}: {value}" for name, value in sorted(segment.items())),
        "money": _money(alert.get("value_at_risk")),
    }
    for name, text in told.items():
        if text:
            yield _line(f"{name:<8} {_clean(text)}")
    for each in alert.get("worst_segments") or ():
        where = ", ".join(f"{name}: {value}" for name, value in sorted(each["segment"].items()))
        errors = f"{each['errors']:,} errors of {each['n']:,}, {each['expected']:,.0f} expected"
        yield _line(f"{'worst':<8} {_clean(where)}: {errors}")


def _money(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    lost, currency = value.get("lost"), value.get("currency", "")
    if not isinstance(lost, int | float):
        return "not known yet: too few outcomes are here"
    text = f"{abs(lost):,.0f} {currency} {'lost' if lost >= 0 else 'gained'}"
    text += f" since {_when(value['since'])}"
    if isinstance(value.get("per_day"), int | float):
        text += f", {abs(value['per_day']):,.0f} a day"
    if isinstance(value.get("low"), int | float) and isinstance(value.get("high"), int | float):
        text += f" (95 %: {value['low']:,.0f} to {value['high']:,.0f})"
    return text


def _moved(view: View) -> Iterator[RenderableType]:
    alert = view["alert"]
    others = [each for each in view["lanes"] if each["fingerprint"] != alert["fingerprint"]]
    yield _title("Moved about the same time")
    if not others:
        yield _line("Nothing else of this model has an alert.", style="dim")
    for each in others:
        state = "open" if each["ended_at"] is None else "over"
        name = f"{_clean(each['series'])} {each['aspect']}"
        yield _line(
            f"{_when(each['started_at'])}  {each['severity']:<8}  {state}  "
            f"{each['fingerprint'][:8]}  {name}{_effect(each)}"
        )


def _what_to_do(view: View) -> Iterator[RenderableType]:
    alert = view["alert"]
    short, evidence = alert["fingerprint"][:8], alert["evidence"]
    yield _title("What to do")
    yield _line(f"{runbook_entry(alert['runbook']) or alert['runbook']}")
    place = f"{evidence['partition']}:{evidence['first_offset']}-{evidence['last_offset']}"
    commands = [f"./tidegauge tail events --range {place}"]
    if view["is_open"]:
        commands += [f"./tidegauge {verb} {short}" for verb in ("ack", "accept")]
        commands.append(f"./tidegauge mute {short} --for 2h")
    commands.append(f"./tidegauge mark {short} true")
    for each in commands:
        yield _line(f"{each}", style="bold")


def _line(text: str, style: str = "") -> Padding:
    """Return a paragraph that stands two columns to the right, its further lines as well."""
    return Padding(Text(text, style=style), (0, 0, 0, 2))


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold underline")


def _effect(alert: View) -> str:
    if alert.get("effect") is None:
        return ""
    unit = {"sd": "standard deviations", "odds_ratio": "odds ratio"}.get(
        alert["effect_unit"], alert["effect_unit"]
    )
    return f" ({alert['effect']:.3g} {unit})"


def _figure(value: Any, alert: View) -> str:
    if not isinstance(value, int | float):
        return ""
    return f"{value:.1%}" if alert.get("effect_unit") == "odds_ratio" else _number(value)


def _number(value: float) -> str:
    """Return a number in four digits, a greater one in all of its whole ones."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e9 else f"{value:.4g}"


def _when(instant: str) -> str:
    return str(instant)[:16].replace("T", " ")


def _clean(text: object) -> str:
    return printable(str(text))
