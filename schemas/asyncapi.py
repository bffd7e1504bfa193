"""The contract as an AsyncAPI 3.0 document, made from the table of topics and the types.

The document speaks as a user of Tidegauge: it sends to the input topics, and receives from the
output topics. Types are JSON Schemas (2020-12); their parts stand beside them under
``components``, since a reference in a document is read from its root.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from schemas.cloudevents import EventHeaders
from schemas.describe import INPUTS, OUTPUTS, Schema, input_schema, output_schema
from schemas.topics import Topic, TopicRole, Topics

_INPUT_OF: dict[TopicRole, str] = {
    "predictions": "prediction",
    "outcomes": "outcome",
    "models": "model_spec",
    "controls": "control",
    "reports": "report",
}
_BINDING = "0.5.0"
"""Version of AsyncAPI's binding for Kafka."""
_PARTS = "#/$defs/"


def asyncapi_document(version: str) -> str:
    """Return the document as JSON.

    Parameters
    ----------
    version
        Version of Tidegauge.
    """
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Schema] = {}
    for topic in Topics().table():
        found = _messages_of(topic)
        if not found:
            continue
        channels[topic.role] = _channel(topic, list(found))
        operations[_operation_name(topic)] = _operation(topic, list(found))
        for name, model in found.items():
            messages[name] = _message(topic, name, model)
            schema = output_schema(model) if topic.event else input_schema(model)
            schemas |= _lifted(name, schema)
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidegauge",
            "version": version,
            "description": "Watches machine-learning models on Kafka. Topics have their default "
            "names; the prefix and the names of the inputs can be set.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, option=options).decode()


def _messages_of(topic: Topic) -> dict[str, type[BaseModel]]:
    """Return the messages of a topic and their types; none where the topic is only ours."""
    if topic.event is not None:
        return {event: OUTPUTS[event] for event in topic.events}
    name = _INPUT_OF.get(topic.role)
    return {} if name is None else {name: INPUTS[name]}


def _channel(topic: Topic, names: Sequence[str]) -> Schema:
    config = topic.config()
    settings: Schema = {
        "cleanup.policy": topic.cleanup.split(","),
        "retention.ms": topic.retention_ms,
        "max.message.bytes": topic.max_record_bytes,
    }
    if "delete.retention.ms" in config:
        settings["delete.retention.ms"] = int(config["delete.retention.ms"])
    return {
        "address": topic.name,
        "description": f"{topic.purpose}. The key of a record: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": settings,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation_name(topic: Topic) -> str:
    return f"{'receive' if topic.event else 'send'}_{topic.role}"


def _operation(topic: Topic, names: Sequence[str]) -> Schema:
    return {
        "action": "receive" if topic.event else "send",
        "channel": {"$ref": f"#/channels/{topic.role}"},
        "summary": f"{'Receive' if topic.event else 'Send'} {topic.purpose}.",
        "messages": [{"$ref": f"#/channels/{topic.role}/messages/{name}"} for name in names],
    }


def _message(topic: Topic, name: str, model: type[BaseModel]) -> Schema:
    message: Schema = {
        "name": name,
        "title": model.__name__,
        "summary": (model.__doc__ or "").splitlines()[0],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": topic.key},
                "bindingVersion": _BINDING,
            }
        },
    }
    if topic.event is not None:
        message["headers"] = _headers(topic, name)
    return message


def _headers(topic: Topic, event: str) -> Schema:
    """Return the headers of a CloudEvent as a schema; a deletion of a compacted topic has none."""
    constant = dict(EventHeaders.of_event(topic, event).constant)
    properties: Schema = {
        each: {"type": "string", "const": given.decode()} for each, given in constant.items()
    }
    properties |= {
        "ce_id": {"type": "string", "description": "Our id of the record."},
        "ce_subject": {"type": "string", "description": "The model; of dead letters, the topic."},
        "ce_time": {"type": "string", "format": "date-time", "description": "Log time."},
    }
    return {"type": "object", "properties": properties, "required": [*constant, "ce_id"]}


def _lifted(name: str, schema: Schema) -> dict[str, Schema]:
    """Return a schema and its parts, each by the name under which a document holds it."""
    parts = schema.get("$defs", {})
    own = {each: value for each, value in schema.items() if each != "$defs"}
    return {name: _rerooted(own)} | {part: _rerooted(value) for part, value in parts.items()}


def _rerooted(value: Any) -> Any:
    """Return a schema whose references begin at the root of the document."""
    if isinstance(value, list):
        return [_rerooted(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: each.replace(_PARTS, "#/components/schemas/")
        if name == "$ref" and isinstance(each, str)
        else _rerooted(each)
        for name, each in value.items()
    }
