"""Apply a log to the core of the commit on the path, and write its alerts.

`benchmarks.same_alerts` runs this file as a program for each of two commits. It imports only what
both have: a monitor that applies records, topics, and specs.

    PYTHONPATH=CHECKOUT python -P benchmarks/apply_log.py LOG FOLDER CHECKOUT
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import orjson

import streams
from schemas.model_spec import ModelSpec, parse_spec
from schemas.topics import Topics
from streams.monitor import Monitor

LENGTH_BYTES = 4
"""Before each part of the file, its length, most significant byte first."""
OUTPUTS = ("alerts", "feedback")


def framed(parts: Iterable[bytes]) -> bytes:
    """Return the parts in one string of bytes: the spec as JSON, then the records of the log."""
    return b"".join(len(part).to_bytes(LENGTH_BYTES) + part for part in parts)


def unframed(data: bytes) -> Iterator[bytes]:
    """Yield the parts."""
    place = 0
    while place < len(data):
        end = place + LENGTH_BYTES + int.from_bytes(data[place : place + LENGTH_BYTES])
        yield data[place + LENGTH_BYTES : end]
        place = end


def spec_of(spec: bytes) -> Callable[[str], ModelSpec]:
    """Return the function that gives each model its spec: the one of the file, or the defaults."""
    given = parse_spec(orjson.loads(spec))
    return lambda model_id: given if given.model_id in {None, model_id} else ModelSpec()


def apply(log: Path, folder: Path) -> None:
    """Apply a log; write alerts and feedback as lines, and the count and hash of labelled rows.

    A line is the record and ``emitted_at``, the place in the log of the event that called for it.
    """
    spec, *records = unframed(log.read_bytes())
    monitor = Monitor(0, Topics(), spec_of(spec))
    lines: dict[str, list[bytes]] = {role: [] for role in OUTPUTS}
    rows, digest = 0, hashlib.sha256()
    for offset, value in enumerate(records):
        for emission in monitor.apply(offset, value):
            if emission.role in lines:
                record = {"emitted_at": list(emission.place)} | orjson.loads(emission.value)
                lines[emission.role].append(orjson.dumps(record) + b"\n")
            elif emission.role == "labelled":
                rows += 1
                digest.update(framed([emission.value]))
    for role, written in lines.items():
        (folder / f"{role}.jsonl").write_bytes(b"".join(written))
    labelled = {"rows": rows, "digest": digest.hexdigest()}
    (folder / "labelled.json").write_bytes(orjson.dumps(labelled))


def main() -> None:
    """Apply the log named on the command line with the core that PYTHONPATH names."""
    # Two runs of the same code would agree about everything.
    root = Path(str(streams.__file__)).parent.parent
    log, folder, expected = (Path(each) for each in sys.argv[1:])
    if not root.samefile(expected):
        sys.exit(f"the core is that of {root}, not that of {expected}")
    apply(log, folder)


if __name__ == "__main__":
    main()
