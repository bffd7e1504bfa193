"""The cost of a map: CPU time of ingest for an event, in our form and through sources.

python -m benchmarks.sources --write

Paired: each round reads the same events in every form, and the median of the rounds is shown.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from benchmarks import sources_report
from benchmarks.core import BOTH, Core, Record, in_time
from benchmarks.machine import machine
from benchmarks.pages import save
from schemas.event import Source
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.batches import MAX_BATCH_EVENTS, pack
from streams.ingest.fetch import accept_all
from streams.ingest.records import Accepted
from streams.ingest.sources.mapping import MappedTopic
from streams.ingest.sources.source_map import parse_sources

NOW_MS = 4_000_000_000_000
_OUTCOME = {"prediction_id": "value.id", "model_id": "value.model", "outcome": "value.truth"}
_PLAIN = [
    {
        "topic": "t",
        "when": "value.answer != null",
        "as": "prediction",
        "fields": {
            "prediction_id": "value.id",
            "model_id": "value.model",
            "predicted_at": "value.at",
            "prediction": "value.answer",
            "score": "value.score",
            "features": "value.row",
        },
    },
    {
        "topic": "t",
        "when": "value.truth != null",
        "as": "outcome",
        "fields": _OUTCOME | {"observed_at": "value.at"},
    },
]
_EXPRESSIONS = [
    {
        "topic": "t",
        "when": "value.answer != null && value.model != 'none'",
        "as": "prediction",
        "fields": {
            "prediction_id": "join('-', [value.id, to_string(partition)])",
            "model_id": "value.model",
            "predicted_at": "millis(value.at)",
            "prediction": "value.answer",
            "score": "number(value.score)",
            "features": "zip_object(keys(value.row), values(value.row))",
        },
    },
    {
        "topic": "t",
        "when": "value.truth != null && value.model != 'none'",
        "as": "outcome",
        "fields": _OUTCOME
        | {
            "prediction_id": "join('-', [value.id, to_string(partition)])",
            "observed_at": "millis(value.at)",
        },
    },
]


def _foreign(value: bytes) -> bytes:
    """Return an event of ours in the form of another system."""
    event = orjson.loads(value)
    other: dict[str, Any] = {"id": event["prediction_id"], "model": event["model_id"]}
    if "prediction" in event:
        other |= {"at": event["predicted_at"], "answer": event["prediction"]}
        other |= {"score": event.get("score"), "row": event.get("features")}
    else:
        other |= {"at": event["observed_at"], "truth": event["outcome"]}
    return orjson.dumps(other)


def _mapped(sources: list[dict[str, Any]]) -> MappedTopic:
    found = parse_sources({"sources": sources}).by_topic["t"]
    return MappedTopic(found, halves=False, max_payload_bytes=MAX_PAYLOAD_BYTES)


def measure(pairs: int, rounds: int) -> dict[str, float]:
    """Return the CPU microseconds of ingest for an event, by the form of the records."""
    ours = Core(10).raws(pairs, 0, BOTH)
    records = sorted((each for part in ours.values() for each in part), key=in_time)
    others = [
        Record(place, each.timestamp, _foreign(each.value)) for place, each in enumerate(records)
    ]
    source = Source("prediction", "t", 0)
    plain, expressions = _mapped(_PLAIN), _mapped(_EXPRESSIONS)
    forms: dict[str, Callable[[], Iterable[Any]]] = {
        "in our form, without sources": lambda: [
            item
            for each, fetched in ours.items()
            for item in accept_all(each, fetched, NOW_MS, MAX_PAYLOAD_BYTES)
        ],
        "a map of plain paths": lambda: plain.accept_all(source, others, NOW_MS),
        "a map with expressions": lambda: expressions.accept_all(source, others, NOW_MS),
    }
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, read in forms.items():
            began_s = time.process_time()
            events = [item for item in read() if isinstance(item, Accepted)]
            for start in range(0, len(events), MAX_BATCH_EVENTS):
                pack(events[start : start + MAX_BATCH_EVENTS], 4)
            taken[name].append((time.process_time() - began_s) / len(others))
            if len(events) != len(others):
                msg = f"{name}: {len(events)} of {len(others)} events were accepted"
                raise ValueError(msg)
    return {name: 1e6 * statistics.median(each) for name, each in taken.items()}


def core_us(pairs: int) -> float:
    """Return the CPU microseconds of ingest and monitor for a pair in our form."""
    core = Core(10)
    core.take(core.raws(pairs, 0, BOTH))
    raws = core.raws(pairs, pairs, BOTH)
    began_s = time.process_time()
    core.take(raws)
    return 1e6 * (time.process_time() - began_s) / pairs


def main() -> None:
    """Print the table, and keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks.md")
    options = parser.parse_args()
    results = {
        "machine": machine(),
        "pairs": options.pairs,
        "rounds": options.rounds,
        "core_us": core_us(options.pairs),
        "ingest_us": measure(options.pairs, options.rounds),
    }
    print("\n".join(sources_report.page(results)))
    if options.write:
        save("sources", results)


if __name__ == "__main__":
    main()
