"""Measure the price of the figures of `metrics`: processor time a pair, memory of a model.

    python -m benchmarks.figures_cost            # a table of docs/performance-figures.md
    python -m benchmarks.figures_cost --quick    # 20 s, fewer rows, writes nothing

One model with 10 features, two dimensions, and outcomes a thousand predictions later. The same log
is applied for each spec, a part at a time in turn; told is the lower quartile of the parts, without
those in which it learns. A worker's pair takes ``WORKER_US``, its work around the core included.
"""

import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import orjson

from agents.worker.monitor import RECORDS_AT_ONCE
from benchmarks.findings import Finding, put, table_of
from schemas.event import Source
from schemas.model_spec import parse_spec
from schemas.topics import Topics
from streams.ingest.accept import accept
from streams.ingest.batches import MAX_BATCH_EVENTS, pack
from streams.ingest.records import Accepted, Raw
from streams.monitor import Monitor

LAG = 1_000
FIRST_AT_MS = 1_760_000_000_000
PARTS = 20
LEARNING = 6
"""Parts in which series learn and compiled loops are loaded."""
WORKER_US = 65
"""Microseconds of processor time of a worker's pair, of `docs/benchmarks.md`."""
COST = {"matrix": {"0": {"0": 0.5, "1": -4.0}, "1": {"0": -9.25, "1": 1.0}}}
SERIES: dict[str, Any] = {"metrics": {"every": "day", "cohorts": False}}
DAYS: dict[str, Any] = {"metrics": {"every": "day"}}
EVERYTHING = {"metrics": {"every": "hour"}, "cost": COST, "calibration": {}, "segments": {}}
SPECS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "series for the page": SERIES,
    "figures by the day": DAYS,
    "figures by the hour": {"metrics": {"every": "hour"}},
    "with money and calibration": DAYS | {"cost": COST, "calibration": {}},
    "segments alone": {"segments": {}},
    "everything": EVERYTHING,
}


def payloads(rows: int, every_ms: int) -> Iterator[tuple[str, bytes]]:
    """Yield (topic, event) of one model in log order, a prediction every ``every_ms``."""
    chance = random.Random(7)
    names = [f"feature_{number}" for number in range(10)]
    truth: dict[int, int] = {}
    for number in range(rows + LAG):
        at_ms = FIRST_AT_MS + every_ms * number
        if number < rows:
            score = chance.betavariate(1, 4)
            truth[number] = int(chance.random() < score)
            yield "predictions", orjson.dumps({
                "prediction_id": f"p-{number}",
                "model_id": "m",
                "predicted_at": at_ms,
                "prediction": int(score > 0.5),
                "score": score,
                "model_version": "1",
                "latency_ms": round(chance.lognormvariate(3, 0.5), 2),
                "segment": {"country": chance.choice("abcdefgh"), "channel": chance.choice("xyz")},
                "features": {name: chance.gauss(0, 1) for name in names},
            })  # fmt: skip
        if number >= LAG:
            of = number - LAG
            yield "outcomes", orjson.dumps({
                "prediction_id": f"p-{of}", "model_id": "m", "observed_at": at_ms,
                "outcome": truth.pop(of),
            })  # fmt: skip


def records(rows: int, every_ms: int) -> list[bytes]:
    """Return the log of these events."""
    sources = {
        "predictions": Source("prediction", "predictions", 0),
        "outcomes": Source("outcome", "outcomes", 0),
    }
    offsets = dict.fromkeys(sources, 0)
    accepted: list[Accepted] = []
    for topic, payload in payloads(rows, every_ms):
        event = accept(Raw(sources[topic], offsets[topic], None, payload))
        offsets[topic] += 1
        if isinstance(event, Accepted):
            accepted.append(event)
    firsts = range(0, len(accepted), MAX_BATCH_EVENTS)
    batches = (accepted[first : first + MAX_BATCH_EVENTS] for first in firsts)
    return [value for batch in batches for _, _, value, _ in pack(batch, 1)]


def monitor_of(asked: Mapping[str, Any]) -> Monitor:
    """Return a monitor whose models have a spec."""
    spec = parse_spec({"outcome": {"wait_s": 30 * 86_400}, **asked})
    return Monitor(0, Topics(), lambda _model_id: spec)


def apply(monitor: Monitor, log: Sequence[bytes], first: int) -> None:
    """Apply records from an offset on, as many at once as a worker that catches up."""
    numbered = list(enumerate(log, first))
    for place in range(0, len(numbered), RECORDS_AT_ONCE):
        monitor.ingest(numbered[place : place + RECORDS_AT_ONCE])
        monitor.evaluate_all()


def micros(log: Sequence[bytes], rows: int) -> dict[str, float]:
    """Return the microseconds of a pair by spec."""
    monitors = {name: monitor_of(asked) for name, asked in SPECS.items()}
    took: dict[str, list[float]] = {name: [] for name in SPECS}
    step = len(log) // PARTS + 1
    for first in range(0, len(log), step):
        for name, monitor in monitors.items():
            began_s = time.process_time()
            apply(monitor, log[first : first + step], first)
            took[name].append((time.process_time() - began_s) * 1e6 * PARTS / rows)
    return {name: statistics.quantiles(each[LEARNING:], n=4)[0] for name, each in took.items()}


def held_kb(log: Sequence[bytes], asked: Mapping[str, Any]) -> tuple[float, float]:
    """Return the kilobytes that a model holds, and those of its snapshot."""
    monitor = monitor_of(asked)
    gc.collect()
    tracemalloc.start()
    apply(monitor, log, 0)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    _, stored = monitor.to_store("m")
    return held / 1e3, len(stored.snapshot) / 1e3 if stored else 0.0


def times(rows: int) -> Iterator[Finding]:
    """Compare the time of a pair with that of a model that asks for nothing."""
    found = micros(records(rows, 3_600), rows)
    usual = found.pop("nothing")
    yield Finding("a pair of the core, nothing asked", "", f"{usual:.1f} us", True, "7")
    bounds = {"series for the page": 0.05, "everything": 0.15}
    for name, each in found.items():
        more, most = each - usual, bounds.get(name)
        part = more / WORKER_US
        yield Finding(
            f"the same, {name}",
            "" if most is None else f"<= {most:.0%} of a worker's pair of {WORKER_US} us",
            f"+{more:.1f} us, {part:.0%}",
            most is None or part <= most,
            "7",
        )


def sizes(days: int, a_day: int) -> Iterator[Finding]:
    """Compare the memory of a model with that of one that asks for nothing."""
    log = records(days * a_day, 86_400_000 // a_day)
    held, stored = held_kb(log, {})
    for name, asked in (
        ("series for the page", SERIES),
        ("figures by the day", DAYS),
        ("everything", EVERYTHING),
    ):
        more, written = held_kb(log, asked)
        grown = written / stored - 1
        yield Finding(
            f"memory of a model, {a_day:,} predictions a day for {days} days, {name}",
            "<= +60 kB; snapshot <= +40 %",
            f"{more - held:+.0f} kB; {grown:+.0%} of {stored:.0f} kB",
            more - held <= 60 and grown <= 0.4,
            "7",
        )


@click.command()
@click.option("--quick", "is_quick", is_flag=True, help="Fewer rows, and no page.")
def main(*, is_quick: bool) -> None:
    """Measure; write the table of the page.

    A shared machine's speed is no reason to fail.
    """
    held_kb(records(2_000, 3_600), EVERYTHING)  # loads and compiles what is needed
    found: list[Finding] = []
    sections = [times(10_000 if is_quick else 60_000)]
    if not is_quick:
        sections.append(sizes(32, 1_000))
    for section in sections:
        for each in section:
            found.append(each)
            click.echo(table_of(found)[-1])
    if not is_quick:
        put("cost", table_of(found))


if __name__ == "__main__":
    main()
