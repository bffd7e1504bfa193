"""Envelopes of other systems, by the fields that only they have."""

from typing import Any

_FIELDS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset(("before", "after", "op")), "a Debezium change event"),
    (frozenset(("schema", "payload")), "a record of Kafka Connect with its schema"),
    (frozenset(("specversion", "type", "source")), "a structured CloudEvent"),
    (frozenset(("resourceLogs",)), "OpenTelemetry's logs"),
    (frozenset(("predictions",)), "a response of an inference server"),
    (frozenset(("outputs",)), "a response of an inference server"),
    (frozenset(("instances",)), "a request to an inference server"),
    (frozenset(("inputs", "id")), "a request to an inference server"),
    (frozenset(("dataframe_split",)), "a request to an MLflow server"),
    (frozenset(("bento_meta",)), "a record of BentoML's monitor"),
    (frozenset(("databricks_request_id",)), "a row of a Databricks inference table"),
)


def envelope_of(value: Any) -> str | None:
    """Return the envelope that a value has, as a noun phrase; None where it is none of these.

    Examples
    --------
    >>> envelope_of({"before": None, "after": {"id": 1}, "op": "c", "source": {}})
    'a Debezium change event'
    """
    if isinstance(value, list):
        return "an array of records"
    if not isinstance(value, dict):
        return None
    return next((name for fields, name in _FIELDS if fields <= value.keys()), None)
