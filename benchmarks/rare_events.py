"""Measure two promises about rare events: a rise is never told as a fall, chance is no fact.

    python -m benchmarks.rare_events            # 100 models a rate; renews the table of docs/
    python -m benchmarks.rare_events --quick    # 4 models, 2 runs; fails where a bound is broken

The error of each model rises from a rare one; `backtest` reads all models of a rate in one log. The
facts are those of models in which nothing changes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import orjson

from benchmarks.detection_cases import ROOT
from benchmarks.findings import Finding, put, table_of
from benchmarks.late_labels import PAGE
from streams.aspects import SeriesRole
from streams.detect.budget import shares
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

SEED = 52_009
RATES = (0.0, 0.002, 0.005, 0.01, 0.02)
"""Errors of the references."""
RISES_TO = 0.1
REFERENCE_ROWS, AFTER_ROWS = 2_200, 400
START_MS, STEP_MS = 1_767_571_200_000, 10_000
FALSE_FACTS = 0.5
"""Alerts a run of `false_facts`, at most."""
RARE = 0.0002
"""Share of nulls, and of rare flags."""
QUIET_ROWS = 12_000
COLUMNS = 25
MANY = 120


def falls(rate: float, seeds: range) -> tuple[int, int]:
    """Let the errors of a model a seed rise, in one backtest by the command line.

    Returns
    -------
    tuple
        The models whose rise is told, and the records that tell a fall.
    """
    with tempfile.TemporaryDirectory() as folder:
        kinds = ("predictions", "outcomes", "out")
        paths = {kind: Path(folder) / f"{kind}.jsonl" for kind in kinds}
        with paths["predictions"].open("wb") as asked, paths["outcomes"].open("wb") as known:
            draws = [np.random.default_rng([SEED, RATES.index(rate), seed]) for seed in seeds]
            wrong = [
                np.concatenate(
                    (rng.random(REFERENCE_ROWS) < rate, rng.random(AFTER_ROWS) < RISES_TO)
                )
                for rng in draws
            ]
            says = [rng.random(REFERENCE_ROWS + AFTER_ROWS) < 0.5 for rng in draws]
            for row in range(REFERENCE_ROWS + AFTER_ROWS):
                at_ms = START_MS + STEP_MS * row
                for model, (is_wrong, said) in enumerate(zip(wrong, says, strict=True)):
                    named = {"prediction_id": f"p{row}", "model_id": f"m{model}"}
                    answer = bool(said[row])
                    event = {**named, "predicted_at": at_ms, "prediction": answer}
                    asked.write(orjson.dumps(event) + b"\n")
                    outcome = {"observed_at": at_ms, "outcome": answer != bool(is_wrong[row])}
                    known.write(orjson.dumps({**named, **outcome}) + b"\n")
        options = [text for kind, path in paths.items() for text in (f"--{kind}", str(path))]
        command = [sys.executable, "-m", "agents", "backtest", *options]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        alerts = [orjson.loads(line) for line in paths["out"].read_bytes().splitlines()]
    of_error = [
        a for a in alerts if a["series"] == "error" and a["predictions_seen"] > REFERENCE_ROWS
    ]
    told = {alert["model_id"] for alert in of_error}
    as_falls = [a for a in of_error if a["direction"] != "up" or a["value"] <= a["baseline"]]
    return len(told), len(as_falls)


def false_facts(seed: int) -> int:
    """Count the alarms of a model in which nothing changes: rare nulls, rare flags, many words."""
    rng = np.random.default_rng([SEED, 99, seed])
    columns: list[list[Scalar]] = []
    for _ in range(COLUMNS):
        x = rng.normal(size=QUIET_ROWS).tolist()
        for row in np.flatnonzero(rng.random(QUIET_ROWS) < RARE).tolist():
            x[row] = None
        columns.append(x)
    columns += [(rng.random(QUIET_ROWS) < RARE).tolist() for _ in range(COLUMNS)]
    columns.append([f"shop {number}" for number in rng.integers(MANY, size=QUIET_ROWS).tolist()])
    roles: list[SeriesRole] = ["error", "prediction"]
    roles += ["feature" for _ in columns]
    budgets = shares(0.2, roles)[2:]
    alarms = 0
    for values, budget in zip(columns, budgets, strict=True):
        watch = SeriesWatch(WatchSpec(role="feature"))
        watch.set_budget(budget)
        for start in range(0, QUIET_ROWS, 500):
            alarms += len(watch.update(values[start : start + 500]))
    return alarms


@click.command()
@click.option("--quick", is_flag=True, help="Exit 1 if a bound is broken.")
@click.option("--seeds", default=100, show_default=True, help="Models of each rate.")
@click.option("--first", default=1_000, show_default=True, help="The first seed.")
def main(quick: bool, seeds: int, first: int) -> None:
    """Measure alerts about rare events, and renew their table in docs/detection-figures.md."""
    models = range(first, first + (4 if quick else seeds))
    findings = []
    for rate in RATES:
        told, as_falls = falls(rate, models)
        what = f"error {rate:.1%} to {RISES_TO:.0%}, {len(models)} models: told; told as a fall"
        findings.append(Finding(what, "; 0", f"{told}; {as_falls}", not as_falls, span_of(models)))
        click.echo(f"{what}: {told}; {as_falls}")
    runs = models[: max(len(models) // 2, 2)]
    a_run = sum(map(false_facts, runs)) / len(runs)
    what = "25 columns with .02 % nulls, 25 rare flags, 120 equal words: alarms in 12,000 rows"
    is_met = a_run <= FALSE_FACTS
    findings.append(Finding(what, f"<= {FALSE_FACTS}", f"{a_run:.2f}", is_met, span_of(runs)))
    lines = table_of(findings)
    click.echo("\n".join(lines))
    if not quick:
        head = "Made by `python -m benchmarks.rare_events`; its head says how."
        put("rare events", ("## Rare events", "", head, "", *lines), PAGE)
    sys.exit(1 if quick and not all(each.is_met for each in findings) else 0)


def span_of(seeds: range) -> str:
    """Return the first and the last seed."""
    return f"{seeds[0]} to {seeds[-1]}"


if __name__ == "__main__":
    main()
