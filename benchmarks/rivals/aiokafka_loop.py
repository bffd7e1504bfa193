"""No framework: aiokafka, a loop and dictionaries. What Python can do when nothing may be kept.

State is in memory alone, offsets are committed by the client's timer, and what is sent is
acknowledged by the leader some time later: a crash loses what waited. It fetches in batches and
sends in built batches, as the client's documentation shows for throughput.
"""

import asyncio
import itertools

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.rivals.job import Outcome, Place, Prediction, Watches, place

PARTITIONS = 4


class Loop:
    """The whole application."""

    def __init__(self, at: Place) -> None:
        self._at = at
        self._predictions: dict[str, tuple[Prediction, bytes]] = {}
        self._outcomes: dict[str, tuple[Outcome, bytes]] = {}
        self._watches = Watches()
        self._partition = itertools.cycle(range(PARTITIONS))

    def take(self, topic: str, value: bytes, pairs: list[bytes], alerts: list[bytes]) -> None:
        """Validate one message; where its other half is known, add what is to be sent."""
        if topic == self._at.predictions:
            prediction = Prediction.model_validate_json(value)
            early = self._outcomes.pop(prediction.prediction_id, None)
            if early is None:
                self._predictions[prediction.prediction_id] = prediction, value
                return
            (outcome, outcome_value), prediction_value = early, value
        else:
            outcome = Outcome.model_validate_json(value)
            waiting = self._predictions.pop(outcome.prediction_id, None)
            if waiting is None:
                self._outcomes[outcome.prediction_id] = outcome, value
                return
            (prediction, prediction_value), outcome_value = waiting, value
        is_error = prediction.prediction != outcome.outcome
        pair = {
            "prediction": orjson.Fragment(prediction_value),
            "outcome": orjson.Fragment(outcome_value),
            "is_error": is_error,
        }
        pairs.append(orjson.dumps(pair))
        watch = self._watches[prediction.model_id]
        raised = watch.update(prediction.model_id, prediction.features, prediction.score, is_error)
        alerts += map(orjson.dumps, raised)

    async def run(self) -> None:
        """Go on until the process is ended."""
        consumer = AIOKafkaConsumer(
            self._at.predictions,
            self._at.outcomes,
            bootstrap_servers=self._at.broker,
            group_id=self._at.group,
            auto_offset_reset="earliest",
        )
        producer = AIOKafkaProducer(bootstrap_servers=self._at.broker, max_batch_size=500_000)
        await consumer.start()
        await producer.start()
        while True:
            for tp, messages in (await consumer.getmany(timeout_ms=1000)).items():
                pairs: list[bytes] = []
                alerts: list[bytes] = []
                for message in messages:
                    self.take(tp.topic, message.value, pairs, alerts)
                await self._send(producer, self._at.pairs, pairs)
                await self._send(producer, self._at.alerts, alerts)

    async def _send(self, producer: AIOKafkaProducer, topic: str, values: list[bytes]) -> None:
        batch = producer.create_batch()
        for value in values:
            if batch.append(key=None, value=value, timestamp=None) is None:
                await producer.send_batch(batch, topic, partition=next(self._partition))
                batch = producer.create_batch()
                batch.append(key=None, value=value, timestamp=None)
        if batch.record_count():
            await producer.send_batch(batch, topic, partition=next(self._partition))


if __name__ == "__main__":
    asyncio.run(Loop(place()).run())
