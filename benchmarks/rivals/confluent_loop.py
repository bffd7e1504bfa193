"""No framework: confluent-kafka (librdkafka), a loop and dictionaries.

State is in memory alone and offsets are committed by the client's timer, as in `aiokafka_loop`.
"""

from confluent_kafka import Consumer, Producer

from benchmarks.rivals.aiokafka_loop import Loop
from benchmarks.rivals.job import place


def main() -> None:
    """Go on until the process is ended."""
    at = place()
    loop = Loop(at)
    consumer = Consumer(
        {
            "bootstrap.servers": at.broker,
            "group.id": at.group,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([at.predictions, at.outcomes])
    producer = Producer({"bootstrap.servers": at.broker, "linger.ms": 20})
    while True:
        pairs: list[bytes] = []
        alerts: list[bytes] = []
        for message in consumer.consume(1_000, 1.0):
            topic, value = message.topic(), message.value()
            if message.error() is None and topic is not None and value is not None:
                loop.take(topic, value, pairs, alerts)
        for topic, values in ((at.pairs, pairs), (at.alerts, alerts)):
            for value in values:
                _produce(producer, topic, value)
        producer.poll(0)


def _produce(producer: Producer, topic: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value)
        except BufferError:  # 100,000 messages wait for the broker
            producer.poll(0.1)
        else:
            return


if __name__ == "__main__":
    main()
