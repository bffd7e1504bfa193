"""A worker that obeys `retrain`: it reads the rows named, trains a model, and puts it in place.

The model is a logistic regression on the numeric features, fitted by Newton's method.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from examples.consumer import Consumer, Note

Row = dict[str, Any]
STEPS, RIDGE = 25, 1e-3


def rows_of(command: Row, labelled: Iterable[Row]) -> list[Row]:
    """Return the rows that a command names, each once, without those to leave out."""
    asked, leave_out = command["labelled"], command["training"]["leave_out"]
    rows: dict[int, Row] = {}
    for row in labelled:
        if row["model_id"] == command["model_id"] and row["row"] <= asked["last_row"]:
            if row["row"] >= asked["first_row"] and not any(_is_in(row, x) for x in leave_out):
                rows.setdefault(row["row"], row)
            if row["row"] == asked["last_row"]:
                break
    return list(rows.values())


def _is_in(row: Row, left_out: Row) -> bool:
    prediction = row["prediction"]
    if left_out["why"] == "fallback":
        return bool(prediction.get("status", "ok") != "ok")
    at = np.datetime64(prediction["predicted_at"], "ms")
    begin, end = left_out["predicted_from"], left_out["predicted_until"]
    is_after = begin is None or at >= np.datetime64(begin.removesuffix("Z"), "ms")
    return bool(is_after and (end is None or at < np.datetime64(end.removesuffix("Z"), "ms")))


def train(rows: list[Row]) -> Callable[[Row], float]:
    """Return a function from features to the probability that the outcome is true."""
    names = sorted(rows[0]["prediction"]["features"])
    x = np.array([[1.0, *(r["prediction"]["features"][n] for n in names)] for r in rows])
    y, w = np.array([float(r["outcome"]["outcome"]) for r in rows]), np.zeros(len(names) + 1)
    for _ in range(STEPS):
        p = 1.0 / (1.0 + np.exp(-x @ w))
        curvature = x.T * (p * (1 - p)) @ x + RIDGE * np.eye(len(w))
        w += np.linalg.solve(curvature, x.T @ (y - p) - RIDGE * w)
    return lambda features: float(1 / (1 + np.exp(-w @ [1.0, *(features[n] for n in names)])))


def profile(rows: list[Row], folder: Path, tidegauge: str) -> Path:
    """Write the profile of the rows, for `reference.profile` of the spec of the new version."""
    for name in ("prediction", "outcome"):
        lines = "".join(json.dumps(row[name]) + "\n" for row in rows)
        (folder / f"{name}s.jsonl").write_text(lines, "utf-8")
    given = (str(folder / "predictions.jsonl"), "--outcomes", str(folder / "outcomes.jsonl"))
    out = folder / "profile.json"
    subprocess.run([tidegauge, "profile", *given, "--out", str(out)], check=True)
    return out


def run(
    brokers: str,
    prefix: str,
    deploy: Callable[[Row, list[Row]], None],
    now_s: Callable[[], float] = time.time,  # noqa: TID251 - the clock of `expires_at`
) -> None:
    """Obey commands for ever; ``deploy`` is given each with its rows."""
    commands = KafkaConsumer(
        f"{prefix}commands", bootstrap_servers=brokers, auto_offset_reset="earliest"
    )
    obey = Consumer(dict[str, Note](), lambda each: deploy(each, _read(each, brokers)), print)
    for record in commands:
        said = json.loads(record.value)["feedback"] if record.value else None
        if said is not None and said["command"] == "retrain":
            obey.take(record.key.decode(), said, now_s())


def _read(command: Row, brokers: str) -> list[Row]:
    asked = command["labelled"]
    consumer = KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(asked["topic"], asked["partition"])])
    return rows_of(command, (json.loads(record.value) for record in consumer))
