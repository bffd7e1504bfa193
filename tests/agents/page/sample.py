"""Records as the page reads them, made of the golden ones."""

from __future__ import annotations

from hashlib import md5
from pathlib import Path
from typing import Any

import orjson

from agents.page.actions import Actions
from agents.page.feed import Feed
from agents.page.page import Page
from agents.page.store import Entry, PageStore
from agents.settings import Settings
from schemas.topics import TopicRole
from schemas.wire import to_rfc3339
from streams.clock import DAY_MS

GOLDEN = Path(__file__).parents[2] / "golden"
START_MS = 1_772_323_200_000
"""2026-03-01T00:00:00Z."""
NOW_MS = START_MS + 30 * DAY_MS
HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "\u202egpj.exe\u202c",
    "long" * 64,
    "a/b?c=d#e &amp; %2f ümlaut",
)
"""Names of models that try to be markup, to turn text, or to be an address."""


def golden(name: str, **changes: Any) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads((GOLDEN / f"{name}.json").read_bytes())
    return record | changes


def alert(model_id: str, series: str = "error", **changes: Any) -> dict[str, Any]:
    fingerprint = md5(f"{model_id} {series}".encode(), usedforsecurity=False).hexdigest()
    named = {
        "model_id": model_id,
        "series": series,
        "fingerprint": fingerprint,
        "alert_id": f"{fingerprint}/{changes.get('episode', 1)}/{changes.get('sequence', 0)}",
        "status": "firing",
        "sequence": 0,
        "episode": 1,
        "severity": "critical",
        "started_at": to_rfc3339(NOW_MS - 3 * DAY_MS),
        "fired_at": to_rfc3339(NOW_MS - 2 * DAY_MS),
        "detected_at": to_rfc3339(NOW_MS - 2 * DAY_MS),
        "summary": f"Model {model_id}: the {series} rose from 5.3 % to 8.0 %.",
        "resolved_because": None,
        "under": None,
        "value_at_risk": None,
    }
    return golden("alert", **(named | changes))


def status(record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    fields = {
        "type": "tidegauge.status.v1",
        "fingerprint": record["fingerprint"],
        "since": record["fired_at"],
        "acknowledged": None,
        "muted_until": None,
        "alert": record,
    }
    return fields | changes


def day(model_id: str, number: int, **changes: Any) -> dict[str, Any]:
    begins = START_MS + number * DAY_MS
    named = {
        "model_id": model_id,
        "model_version": None,
        "kind": "day",
        "start": to_rfc3339(begins),
        "end": to_rfc3339(begins + DAY_MS),
        "n": 1_000,
        "completeness": None,
        "nowcast": None,
        "labelled": 900,
        "error": 0.05 + 0.001 * number,
    }
    return golden("metric", **(named | changes))


class Log:
    """A store, and what is appended to the topics that it reads."""

    def __init__(self, store: PageStore | None = None) -> None:
        self.store = PageStore() if store is None else store
        self.offset = 0

    def put(self, role: TopicRole, key: str, record: dict[str, Any] | None) -> None:
        value = None if record is None else orjson.dumps(record)
        self.store.take(Entry(role, 0, self.offset, key, value))
        self.offset += 1

    def fire(self, record: dict[str, Any], **changes: Any) -> None:
        self.put("alerts", record["model_id"], record)
        self.put("status", record["fingerprint"], status(record, **changes))

    def resolve(self, record: dict[str, Any]) -> None:
        over = record | {"status": "resolved", "sequence": 9, "alert_id": record["alert_id"] + "/9"}
        self.put("alerts", record["model_id"], over)
        self.put("status", record["fingerprint"], None)

    def days(self, model_id: str, count: int = 30, **changes: Any) -> None:
        for number in range(count):
            record = day(model_id, number, **changes)
            self.put("metrics", f"{model_id}|day|{record['start']}", record)

    def distributions(self, model_id: str, count: int = 30) -> None:
        """Add a reference and days of two series: the values move up from the 27th day on."""
        reference = golden("reference", model_id=model_id)
        self.put("metrics", f"{model_id}|reference|1", reference)
        series = golden("series", model_id=model_id)
        for number in range(count):
            begins = START_MS + number * DAY_MS
            summary = dict(series["series"][0])
            if number >= 27:
                summary |= {"histogram": [0, 20, 90, 180, 110], "mean": 51_000.5}
            record = series | {
                "kind": "day",
                "start": to_rfc3339(begins),
                "end": to_rfc3339(begins + DAY_MS),
                "series": [summary],
            }
            self.put("metrics", f"{model_id}|series|day|{begins}", record)


def _member() -> dict[str, Any]:
    fired = alert("car_loan")
    names = ("model_id", "fingerprint", "episode", "series", "started_at", "severity")
    return {name: fired[name] for name in names} | {"is_over": False}


def small_log() -> Log:
    """Return a few models: one that needs a person, one that is calm, and hostile names."""
    log = Log()
    log.days("car_loan")
    log.distributions("car_loan")
    log.fire(alert("car_loan"))
    log.fire(alert("car_loan", "feature/car_value", severity="warning"))
    log.days("calm")
    log.put("incidents", "i1", golden("incident", status="open", members=[_member()]))
    log.put("reviews", "r1", golden("review", model_id="car_loan", status="open"))
    log.put("metrics", "car_loan|reviewed", golden("reviewed", model_id="car_loan"))
    log.put("metrics", "car_loan|challenge|b", golden("challenge", model_id="car_loan"))
    for name in HOSTILE:
        log.fire(alert(name, f"feature/{name}", category=name, severity="info"))
    return log


class Sent:
    """Controls that the page wrote."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    async def send(self, _key: bytes, value: bytes) -> tuple[int, int]:
        self.records.append(orjson.loads(value))
        return 0, len(self.records) - 1


def page_of(store: PageStore, host: str, actions: Actions | None = None) -> Page:
    """Return a page of records that were read, with no broker behind it."""
    feed = Feed(Settings(), store, lambda: NOW_MS)
    feed.is_ready, feed.tick_ms = True, NOW_MS - 4_000
    return Page(
        deployment="tests",
        prefix="tidegauge.",
        feed=feed,
        actions=actions,
        hosts=frozenset({host}),
        now_ms=lambda: NOW_MS,
    )
