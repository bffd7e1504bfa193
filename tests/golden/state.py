"""State as a version has stored it: a newer worker reads it, or says that it does not.

`python -m tests.golden.state` writes the state of the present version, once: run it in the commit
that raises ``STATE_VERSION``, and keep it. A version that no release has written may be made again:
delete its folder first.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import numpy as np
import orjson

from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.codec import STATE_VERSION
from streams.monitor import Monitor
from streams.state.records import StateRecord, chunk_record, manifest_records
from tests.doubles.core import log_of, taken_in
from tests.doubles.inputs import outcome, prediction

HERE = Path(__file__).parent
ROWS = 700


def versions() -> list[int]:
    """Return the versions that are kept."""
    return sorted(int(path.name.removeprefix("state_v")) for path in HERE.glob("state_v*"))


def read(version: int) -> list[StateRecord]:
    """Return the records of the ``state`` topic that a version wrote."""
    lines = (HERE / f"state_v{version}" / "records.jsonl").read_bytes().splitlines()
    return [
        StateRecord(orjson.dumps(key), base64.b64decode(value))
        for key, value in map(orjson.loads, lines)
    ]


def made() -> list[StateRecord]:
    """Return the records that the present version writes."""
    log = log_of(taken_in(_published()), events_per_record=50)
    monitor = Monitor(0, Topics(), lambda _model_id: ModelSpec(alert_budget=20.0))
    for offset, value in enumerate(log):
        monitor.apply(offset, value)
    records: list[StateRecord] = []
    for model_id, model in monitor.models.items():
        records += [chunk_record(model_id, *chunk) for chunk in model.join.unstored().items()]
        records += manifest_records(model_id, len(log) - 1, model.snapshot())
    return records


def _published() -> list[bytes]:
    """Two models; most predictions of the first still wait for their outcome."""
    rng = np.random.default_rng(1)
    published = []
    for row in range(ROWS):
        features = {
            "age": round(float(rng.normal(40 + (row > 600) * 9, 10)), 3),
            "income": round(max(float(rng.normal(0, 1)), 0.0), 3),
            "job": "abc$"[int(rng.integers(0, 4))],
            "$array": None if row % 9 == 0 else bool(rng.random() < 0.3),
        }
        says = bool(rng.random() < 0.5)
        name = f"p{row}"
        published.append(prediction(name, "loan", prediction=says, score=0.25, features=features))
        if row % 3 == 0:
            published.append(outcome(name, "loan", outcome=says ^ bool(rng.random() < 0.1)))
        if row % 7 == 0:
            published.append(prediction(name, "price", prediction=row / 8))
            published.append(outcome(f"p{row + 1}", "price", outcome=1))
    return published


def main() -> int:
    folder = HERE / f"state_v{STATE_VERSION}"
    if folder.exists():
        sys.stderr.write(f"{folder.name} is kept as it is: raise STATE_VERSION first.\n")
        return 1
    folder.mkdir()
    lines = [
        orjson.dumps([orjson.loads(key), base64.b64encode(value or b"").decode()])
        for key, value in made()
    ]
    (folder / "records.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
