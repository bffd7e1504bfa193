"""Check the words of alerts about real tables against the data: `backtest` with its defaults.

    python -m benchmarks.real_tables           # a minute; renews its table in docs/
    python -m benchmarks.real_tables --show    # every figure that is checked; writes nothing

The tables come with River, in their own order; car_loan comes with this repository. The answers of
a classifier are those of a Gaussian naive Bayes that learns each row after it; a number is
predicted by the value before it.

Scoring. Each firing about a level, a spread, a share, missing values or a category is computed
again from the table: the told value over the told rows, the normal over the first rows that may be
its reference (200, 500, 1,000, 2,000, 4,000 or 8,000, or the later half of so many), and the side
to which it moved. A figure is off where it differs by more than three standard errors.
"""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
import orjson
from numpy.typing import NDArray
from river import datasets
from river.naive_bayes import GaussianNB

from benchmarks.detection_cases import CAR_LOAN_CHANGE, ROOT, car_loan
from benchmarks.findings import put
from benchmarks.late_labels import PAGE
from streams.values import Scalar, text_of

START_MS = 1_767_571_200_000
STEP_MS = 4_000
"""Between two rows: all tables are shorter than the day that an hourly profile takes."""
MOST_ROWS = 20_000
"""Rows of a table that are read: the first, of car_loan those around its change."""
STAGES = (200, 500, 1_000, 2_000, 4_000, 8_000)
"""Rows of references (docs/detection.md)."""
MOST_ERRORS = 3.0
"""Standard errors from which on a figure is off."""
TABLES = (
    "Bananas",
    "ImageSegments",
    "Phishing",
    "SP500Stocks",
    "Shuttle",
    "SolarFlare",
    "TrumpApproval",
    "WaterFlow",
    "Yeast",
)
"""Classes of `river.datasets` whose tables are in the package."""

Columns = Mapping[str, Sequence[Scalar]]


@dataclass(slots=True)
class Checked:
    """The figures of the alerts about a table, and those that are off."""

    alerts: int = 0
    figures: int = 0
    off: list[str] = field(default_factory=list)

    def hold(self, what: str, told: float, true: float, error: float) -> None:
        """Hold a figure against the data's."""
        self.figures += 1
        if abs(told - true) > MOST_ERRORS * error + 1e-6 * abs(true):
            self.off.append(f"{what}: told {told:.6g}, in the data {true:.6g} +- {error:.2g}")


def columns_of(name: str) -> dict[str, list[Scalar]]:
    """Return the series of a table, in the order of its rows, with the answers of a model."""
    if name == "car_loan":
        rows = slice(CAR_LOAN_CHANGE - MOST_ROWS // 2, CAR_LOAN_CHANGE + MOST_ROWS // 2)
        return {key: values[rows] for key, values in car_loan(name).items() if key != "error"}
    made: dict[str, list[Scalar]] = {}
    model = GaussianNB()
    last: Scalar = None
    for x, y in islice(getattr(datasets, name)(), MOST_ROWS):
        target = next(iter(y.values())) if isinstance(y, dict) else y
        plain = {key: value for key, value in x.items() if isinstance(value, (bool, int, float))}
        answer: Scalar
        if isinstance(target, float):
            answer = target if last is None else last
        else:
            answer = model.predict_one(plain) if made else target
            model.learn_one(plain, target)
        last = target
        for key, value in x.items():
            if isinstance(value, (bool, int, float, str)):
                made.setdefault(f"feature/{key}", []).append(value)
        made.setdefault("prediction", []).append(answer)
        made.setdefault("outcome", []).append(target)
    return made


def alerts_of(columns: Columns) -> list[dict[str, Any]]:
    """Return what a backtest with its defaults says about a table."""
    rows = len(columns["prediction"])
    features = [name for name in columns if name.startswith("feature/")]
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            kind: Path(folder) / f"{kind}.jsonl" for kind in ("predictions", "outcomes", "out")
        }
        with paths["predictions"].open("wb") as asked, paths["outcomes"].open("wb") as known:
            for row in range(rows):
                at_ms = START_MS + STEP_MS * row
                named = {"prediction_id": f"p{row}", "model_id": "m"}
                values = {name.removeprefix("feature/"): columns[name][row] for name in features}
                event = {**named, "predicted_at": at_ms, "prediction": columns["prediction"][row]}
                if "score" in columns:
                    event["score"] = columns["score"][row]
                asked.write(orjson.dumps({**event, "features": values}) + b"\n")
                outcome = {"observed_at": at_ms, "outcome": columns["outcome"][row]}
                known.write(orjson.dumps({**named, **outcome}) + b"\n")
        options = [text for kind, path in paths.items() for text in (f"--{kind}", str(path))]
        command = [sys.executable, "-m", "agents", "backtest", *options]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        return [orjson.loads(line) for line in paths["out"].read_bytes().splitlines()]


def errors_of(columns: Columns, *, is_regression: bool) -> list[Scalar]:
    """Return the error of each row: whether it is wrong, or by how much."""
    pairs = zip(columns["prediction"], columns["outcome"], strict=True)
    if not is_regression:
        return [said != true for said, true in pairs]
    return [abs(float(cast("float", said)) - float(cast("float", true))) for said, true in pairs]


def figure_of(alert: Mapping[str, Any], values: Sequence[Scalar]) -> tuple[float, float]:
    """Return the figure that an alert tells, as of these values, and its standard error."""
    aspect, unit, category = alert["aspect"], alert["effect_unit"], alert["category"]
    rows = len(values)
    if aspect == "missing" or unit == "odds_ratio":
        if aspect == "missing":
            hits = sum(value is None for value in values)
        else:
            present = [value for value in values if value is not None]
            rows = max(len(present), 1)
            name = "true" if alert["series"] == "error" else category
            hits = sum(text_of(value) == name for value in present)
        share = hits / rows
        return share, math.sqrt(max(share * (1 - share), 1 / rows) / rows)
    x = np.array([v for v in values if isinstance(v, (int, float))], dtype=np.float64)
    x = without(x, alert["summary"])
    if len(x) < 2:
        return math.nan, math.inf
    sd = float(x.std())
    if unit == "ratio":
        fourth = float(np.mean((x - x.mean()) ** 4))
        return sd, math.sqrt(max(fourth - sd**4, 0.0) / len(x)) / max(2 * sd, 1e-300)
    return float(x.mean()), sd / math.sqrt(len(x))


def without(x: NDArray[np.float64], summary: str) -> NDArray[np.float64]:
    """Leave out the numbers that the sentence says are left out."""
    _, found, rest = summary.partition("(without ")
    if not found:
        return x
    left_out = [float(each) for each in rest.partition(")")[0].split(", ") if "…" not in each]
    return x[~np.isin(x, left_out)]


def check(checked: Checked, alert: Mapping[str, Any], values: Sequence[Scalar]) -> None:
    """Hold the figures of a firing against the series."""
    end, rows = int(alert["series_seen"]), int(alert["rows_since_onset"])
    since, value, normal = values[max(end - rows, 0) : end], alert["value"], alert["baseline"]
    if value is None or normal is None:
        return
    checked.alerts += 1
    where = f"{alert['series']} {alert['aspect']} {alert['category'] or ''} at {end:,} of {rows:,}"
    true, error = figure_of(alert, since)
    checked.hold(f"{where}, value", value, true, error)
    candidates = [values[:stage] for stage in STAGES if stage < end]
    candidates += [values[stage // 2 : stage] for stage in STAGES if stage < end]
    found = [figure_of(alert, each) for each in candidates]
    usual, usual_error = min(found, key=lambda each: abs(each[0] - normal) / max(each[1], 1e-12))
    checked.hold(f"{where}, normal", normal, usual, usual_error)
    checked.figures += 1
    went = "up" if true > usual else "down"
    if alert["direction"] != went and abs(true - usual) > error:
        checked.off.append(f"{where}: told {alert['direction']}, went {went}")


def checks(name: str, *, show: bool) -> tuple[Checked, int]:
    """Check the alerts about a table; return the figures, and its rows."""
    columns = columns_of(name)
    checked, is_regression = Checked(), isinstance(columns["outcome"][0], float)
    columns["error"] = errors_of(columns, is_regression=is_regression)
    for alert in alerts_of(columns):
        if alert["status"] != "firing" or alert["series"] not in columns:
            continue
        if show:
            click.echo(f"  {alert['summary']}")
        check(checked, alert, columns[alert["series"]])
    return checked, len(columns["outcome"])


def lines_of(results: Mapping[str, tuple[Checked, int]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| table | rows | firings with figures | figures checked | off |"
    yield "|---|---|---|---|---|"
    for name, (checked, rows) in results.items():
        counts = (checked.alerts, checked.figures, len(checked.off))
        yield f"| {name} | {rows:,} | {' | '.join(map(str, counts))} |"


@click.command()
@click.option("--show", is_flag=True, help="Show the sentences; writes nothing.")
@click.option("--only", default="", help="Tables whose names begin so; writes nothing.")
def main(show: bool, only: str) -> None:
    """Check the words of alerts about real tables; renew the table in docs/detection-figures.md."""
    start, results = time.monotonic(), {}
    for name in (*TABLES, "car_loan"):
        if name.startswith(only):
            results[name] = checks(name, show=show)
            checked, rows = results[name]
            click.echo(f"{name}: {rows:,} rows, {checked.alerts} firings, {len(checked.off)} off")
            for line in checked.off:
                click.echo(f"  off: {line}")
    off = sum(len(checked.off) for checked, _ in results.values())
    click.echo(f"{time.monotonic() - start:.0f} s, {off} figures off")
    if not (show or only):
        head = (
            "Made by `python -m benchmarks.real_tables`; how it is scored: the head of that file."
        )
        put("real tables", ("## Real tables", "", head, "", *lines_of(results)), PAGE)
    sys.exit(1 if off else 0)


if __name__ == "__main__":
    main()
