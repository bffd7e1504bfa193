"""The job as Quix Streams' documentation would have it: two dataframes and an interval join.

The join's state is in RocksDB with its changelog topics on, guarantees are the defaults (at least
once, a checkpoint every 5 s). River's objects are in memory: a State holds JSON.
"""

from datetime import timedelta
from typing import Any

from quixstreams import Application

from benchmarks.rivals.job import Outcome, Prediction, Watches, place


def main() -> None:
    """Build the dataframes and run them."""
    at = place()
    app = Application(
        broker_address=at.broker,
        consumer_group=at.group,
        auto_offset_reset="earliest",
        state_dir=at.folder,
        auto_create_topics=True,
        loglevel="WARNING",
    )
    watches = Watches()

    def pair(prediction: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
        return {
            "prediction": prediction,
            "outcome": outcome,
            "is_error": prediction["prediction"] != outcome["outcome"],
        }

    def watch(row: dict[str, Any]) -> list[dict[str, Any]]:
        prediction = row["prediction"]
        return watches[prediction["model_id"]].update(
            prediction["model_id"], prediction["features"], prediction["score"], row["is_error"]
        )

    predictions = app.dataframe(app.topic(at.predictions)).apply(
        lambda value: Prediction.model_validate(value).model_dump()
    )
    outcomes = app.dataframe(app.topic(at.outcomes)).apply(
        lambda value: Outcome.model_validate(value).model_dump()
    )
    rows = predictions.join_interval(outcomes, on_merge=pair, forward_ms=timedelta(days=1))
    rows.to_topic(app.topic(at.pairs))
    rows.apply(watch, expand=True).to_topic(app.topic(at.alerts))
    app.run()


if __name__ == "__main__":
    main()
