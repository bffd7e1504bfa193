"""Headers of outputs: CloudEvents 1.0 in Kafka's binary mode, beside a value that is unchanged.

Rule 1. Headers are a function of the record's value, its model and its log time, so that what is
        published again has the same ones.
Rule 2. A deletion has none: it is no event.
"""

from functools import lru_cache
from typing import NamedTuple

import orjson

from schemas.topics import Topic
from schemas.wire import to_rfc3339

Headers = list[tuple[str, bytes]]
"""Names and values, as the Kafka client takes them: a list, which nobody changes."""
NO_HEADERS: Headers = []
_SHOWN_ALERT = "status"
"""The event that has no id and no instant of its own: it has those of the alert in it."""


def event_type(event: str) -> str:
    """Return the type and version of an event, as they stand in ``type``."""
    return f"tidegauge.{event}.v1"


def schema_uri(event: str) -> str:
    """Return the URI that names the JSON Schema of an event, and its version."""
    return f"urn:tidegauge:{event}:v1"


class EventHeaders(NamedTuple):
    """The headers of the records of one topic.

    Parameters
    ----------
    constant
        Those that all of its records have.
    begin
        The bytes of a record before its id.
    is_status
        Whether its records hold an alert.
    others
        The headers of the other events of the topic.
    """

    constant: tuple[tuple[str, bytes], ...]
    begin: bytes
    is_status: bool
    others: tuple["EventHeaders", ...] = ()

    @classmethod
    def of_topic(cls, topic: Topic) -> "EventHeaders":
        """Return the headers of a topic of events.

        Raises
        ------
        ValueError
            When its records are no events for others.
        """
        if topic.event is None:
            msg = f"the records of {topic.name} are no events"
            raise ValueError(msg)
        made, *others = (cls.of_event(topic, event) for event in topic.events)
        return made._replace(others=tuple(others))

    @classmethod
    def of_event(cls, topic: Topic, event: str) -> "EventHeaders":
        """Return the headers of one event of a topic."""
        constant = (
            ("ce_specversion", b"1.0"),
            ("ce_type", event_type(event).encode()),
            ("ce_source", f"/{topic.name}".encode()),
            ("ce_dataschema", schema_uri(event).encode()),
            ("content-type", b"application/json"),
        )
        begin = f'{{"type":"{event_type(event)}","{event}_id":"'.encode()
        return cls(constant, begin, event == _SHOWN_ALERT)

    def of(self, value: bytes, subject: bytes, at_ms: int | None) -> Headers:
        """Return the headers of a record.

        Parameters
        ----------
        value
            Its value.
        subject
            What it is about: the model.
        at_ms
            Log time, epoch milliseconds; None where it has none.
        """
        if not value:
            return NO_HEADERS
        for other in self.others:
            if value.startswith(other.begin):
                return other.of(value, subject, at_ms)
        if self.is_status:
            alert = orjson.loads(value)["alert"]
            time, name = alert["detected_at"].encode(), alert["alert_id"].encode()
        else:
            time, name = b"" if at_ms is None else _time(at_ms), self._id(value)
        headers = [*self.constant, ("ce_id", name), ("ce_subject", subject)]
        if time:
            headers.append(("ce_time", time))
        return headers

    def _id(self, value: bytes) -> bytes:
        first = len(self.begin)
        name = value[first : value.find(b'"', first)]
        # Most ids are written in JSON as they are.
        return name if b"\\" not in name else _read_id(value, self.begin)


def _read_id(value: bytes, begin: bytes) -> bytes:
    field = begin.rsplit(b'"', 3)[1].decode()
    name: str = orjson.loads(value)[field]
    return name.encode()


@lru_cache(maxsize=64)
def _time(at_ms: int) -> bytes:
    return to_rfc3339(at_ms).encode()
