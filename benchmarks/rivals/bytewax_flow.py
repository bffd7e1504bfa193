"""The job as Bytewax's documentation would have it: join by prediction, watch by model.

Recovery is off, as it comes: what waits is in memory, and a crash starts from the beginning.
Run by ``python -m bytewax.run``.
"""

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow

from benchmarks.rivals.job import Outcome, Prediction, Watch, place

AT = place()
BROKERS = [AT.broker]


def to_prediction(message: KafkaSourceMessage) -> tuple[str, Prediction]:
    """Validate a prediction and key it."""
    prediction = Prediction.model_validate_json(message.value)
    return prediction.prediction_id, prediction


def to_outcome(message: KafkaSourceMessage) -> tuple[str, Outcome]:
    """Validate an outcome and key it."""
    outcome = Outcome.model_validate_json(message.value)
    return outcome.prediction_id, outcome


def watch_pair(
    watch: Watch | None, pair: tuple[Prediction, Outcome]
) -> tuple[Watch, list[KafkaSinkMessage]]:
    """Return what is to be published of a pair."""
    watch = watch or Watch()
    prediction, outcome = pair
    is_error = prediction.prediction != outcome.outcome
    row = {
        "prediction": prediction.model_dump(),
        "outcome": outcome.model_dump(),
        "is_error": is_error,
    }
    raised = watch.update(prediction.model_id, prediction.features, prediction.score, is_error)
    messages = [KafkaSinkMessage(None, orjson.dumps(row), AT.pairs)]
    messages += [KafkaSinkMessage(None, orjson.dumps(alert), AT.alerts) for alert in raised]
    return watch, messages


flow = Dataflow("job")
predictions = kop.input("predictions", flow, brokers=BROKERS, topics=[AT.predictions])
outcomes = kop.input("outcomes", flow, brokers=BROKERS, topics=[AT.outcomes])
joined = op.join(
    "join",
    op.map("prediction", predictions.oks, to_prediction),
    op.map("outcome", outcomes.oks, to_outcome),
)
by_model = op.map("by_model", joined, lambda item: (item[1][0].model_id, item[1]))
messages = op.stateful_flat_map("watch", by_model, watch_pair)
kop.output(
    "out", op.map("message", messages, lambda item: item[1]), brokers=BROKERS, topic=AT.pairs
)
