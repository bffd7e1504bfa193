r"""Read `labelled` and `metrics` into pandas, and retrace a day's figures from its rows, by hand.

    ./tidegauge backtest --predictions p.jsonl.gz --outcomes o.jsonl.gz --out alerts.jsonl \
      --labelled labelled.jsonl --metrics metrics.jsonl --spec spec.yaml
    .venv/bin/python -m examples.metrics.retrace car_loan labelled.jsonl metrics.jsonl

pandas is no part of Tidegauge: .venv/bin/pip install pandas
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import click
import pandas as pd

from agents.commands.metrics import MetricsQuery, read_metrics
from schemas.labelled import Labelled
from schemas.metric import Metric
from schemas.wire import to_epoch_ms


def labelled_frame(lines: Iterable[bytes]) -> pd.DataFrame:
    """Return labelled rows as a table; a corrected row replaces the one that it restates."""
    rows = [Labelled.model_validate_json(line) for line in lines]
    restated = {row.restates for row in rows}
    return pd.DataFrame(
        {
            "row": row.row,
            "predicted_at": pd.Timestamp(row.prediction.predicted_at, unit="ms", tz="UTC"),
            "version": row.prediction.model_version,
            "status": row.prediction.status,
            "answer": row.prediction.prediction,
            "score": row.prediction.score,
            "truth": row.outcome.outcome,
            "is_error": row.is_error,
            "delay_s": row.delay_s,
        }
        for row in rows
        if row.row not in restated
    )


def metrics_frame(metrics: Iterable[Metric]) -> pd.DataFrame:
    """Return the last figures of each day as a table, indexed by its first instant.

    Nested figures have dotted names: `nowcast.error`, `value.said`.
    """
    frame = pd.json_normalize([each.model_dump() for each in metrics])
    frame.index = pd.DatetimeIndex(
        pd.to_datetime([to_epoch_ms(start) for start in frame["start"]], unit="ms", utc=True)
    )
    return frame


def retraced(labelled: pd.DataFrame) -> pd.DataFrame:
    """Return error, recall and Brier score of each day, from its rows alone."""
    ours = labelled[labelled["status"] == "ok"]  # a fallback is no answer of the model
    ours = ours.assign(
        day=ours["predicted_at"].dt.floor("D"),
        square=(ours["score"] - ours["truth"]) ** 2,
        hit=(ours["answer"] == 1).where(ours["truth"] == 1),
    )
    by_day = ours.groupby("day")
    return pd.DataFrame(
        {
            "labelled": by_day.size(),
            "error": by_day["is_error"].mean(),
            "recall": by_day["hit"].mean(),
            "brier": by_day["square"].mean(),
        }
    )


def main(model_id: str, labelled: Path, metrics: Path) -> None:
    """Print the figures of a model beside the same ones by hand, and their greatest difference."""
    told = metrics_frame(read_metrics(metrics, MetricsQuery(model_id=model_id, by="day")))
    with labelled.open("rb") as lines:
        hand = retraced(labelled_frame(lines))
    both = told[list(hand)].join(hand, rsuffix=" by hand")
    click.echo(both.tail(10).to_string())
    off = (told[list(hand)].astype(float) - hand).abs().max().max()
    click.echo(f"Greatest difference over {len(both):,} days: {off:.1e}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
