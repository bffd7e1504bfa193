"""The job as Faust's user guide would have it: models, two agents, two Tables.

Both topics are keyed by prediction and have the same number of partitions, as Tables ask for. A
Record with ``validation=True`` is Faust's own validation. Tables are in memory (Faust's choice for
development; RocksDB is slower) with their changelog topics on, as they come. The linger is 20 ms
because at the default of 0 every message is a request. River's objects are in memory: Faust has no
place for them.
"""

from typing import Any

import faust

from benchmarks.rivals.job import Watches, place

AT = place()
PARTITIONS = 4


class Prediction(faust.Record, serializer="json", validation=True):
    """What a service says its model answered."""

    prediction_id: str
    model_id: str
    predicted_at: int
    prediction: int
    score: float
    features: dict[str, float]


class Outcome(faust.Record, serializer="json", validation=True):
    """What turned out to be true."""

    prediction_id: str
    model_id: str
    observed_at: int
    outcome: int


app = faust.App(
    AT.group,
    broker=f"kafka://{AT.broker}",
    store="memory://",
    topic_partitions=PARTITIONS,
    topic_disable_leader=True,
    producer_linger=0.02,
    datadir=AT.folder,
)
predictions = app.topic(AT.predictions, key_type=str, value_type=Prediction)
outcomes = app.topic(AT.outcomes, key_type=str, value_type=Outcome)
pairs = app.topic(AT.pairs, key_type=str, value_serializer="json")
alerts = app.topic(AT.alerts, key_type=str, value_serializer="json")
waiting_predictions = app.Table("waiting_predictions", value_type=Prediction)
waiting_outcomes = app.Table("waiting_outcomes", value_type=Outcome)
watches = Watches()


@app.agent(predictions)
async def on_prediction(stream: faust.StreamT[Any]) -> None:
    """Let a prediction meet the outcome that came before it, or wait."""
    async for prediction in stream:
        outcome = waiting_outcomes.pop(prediction.prediction_id, None)
        if outcome is None:
            waiting_predictions[prediction.prediction_id] = prediction
        else:
            await on_pair(prediction, outcome)


@app.agent(outcomes)
async def on_outcome(stream: faust.StreamT[Any]) -> None:
    """Let an outcome meet its prediction, or wait."""
    async for outcome in stream:
        prediction = waiting_predictions.pop(outcome.prediction_id, None)
        if prediction is None:
            waiting_outcomes[outcome.prediction_id] = outcome
        else:
            await on_pair(prediction, outcome)


async def on_pair(prediction: Prediction, outcome: Outcome) -> None:
    """Publish a pair and the alerts it raises."""
    is_error = prediction.prediction != outcome.outcome
    pair = {
        "prediction": prediction.asdict(),
        "outcome": outcome.asdict(),
        "is_error": is_error,
    }
    await pairs.send(key=prediction.prediction_id, value=pair)
    watch = watches[prediction.model_id]
    for alert in watch.update(prediction.model_id, prediction.features, prediction.score, is_error):
        await alerts.send(key=prediction.model_id, value=alert)


if __name__ == "__main__":
    app.main()
