"""Describe the wire for people and programs: JSON Schemas and tables, made from the types.

Nothing here touches a disk: ``tests/regenerate.py`` writes the results of these functions into
docs/, and a test fails when docs/ differs.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel

from schemas.alert import (
    Acknowledgement,
    Alert,
    CategoryShare,
    Evidence,
    MixAndWithin,
    Moved,
    WorstSegment,
)
from schemas.challenge import Challenge
from schemas.cloudevents import schema_uri
from schemas.command import Command
from schemas.control import Control
from schemas.dead_letter import DeadLetter
from schemas.error_model import ErrorColumn, ErrorModel
from schemas.feedback import (
    BeforeAfter,
    ErrorSample,
    FallbackOrder,
    Feedback,
    LabelledRange,
    LeaveOut,
    TrainingData,
)
from schemas.incident import Incident, IncidentCause, IncidentMember
from schemas.inputs import Inputs
from schemas.labelled import Labelled, LogPosition
from schemas.metric import Metric, ReliabilityBin, Spread, WithoutLabels
from schemas.model_spec import (
    AlertRules,
    ChallengeRules,
    Excluded,
    FallbackRules,
    FeatureRules,
    InputsRules,
    MetricRules,
    ModelSpec,
    OutcomeRules,
    ReferenceRules,
    RetrainRules,
    ReviewRules,
    SegmentRules,
    SeriesProfile,
    SkewRules,
)
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.report import Report
from schemas.review import Review, Reviewed
from schemas.series import (
    CategoryPart,
    Drift,
    Histogram,
    Reference,
    Series,
    SeriesQuantiles,
    SeriesSummary,
)
from schemas.status import Status
from schemas.topics import DAY_MS, MIB, Topics

Schema = dict[str, Any]

INPUTS: dict[str, type[BaseModel]] = {
    "prediction": Prediction,
    "outcome": Outcome,
    "inputs": Inputs,
    "control": Control,
    "report": Report,
    "model_spec": ModelSpec,
}
OUTPUTS: dict[str, type[BaseModel]] = {
    "alert": Alert,
    "status": Status,
    "feedback": Feedback,
    "command": Command,
    "review": Review,
    "challenge": Challenge,
    "reviewed": Reviewed,
    "labelled": Labelled,
    "metric": Metric,
    "reference": Reference,
    "series": Series,
    "incident": Incident,
    "dead_letter": DeadLetter,
}
_PARTS: dict[str, type[BaseModel]] = {
    "evidence": Evidence,
    "category_share": CategoryShare,
    "moved": Moved,
    "acknowledgement": Acknowledgement,
    "alert_rules": AlertRules,
    "labelled_range": LabelledRange,
    "training_data": TrainingData,
    "leave_out": LeaveOut,
    "before_after": BeforeAfter,
    "error_sample": ErrorSample,
    "retrain_rules": RetrainRules,
    "review_rules": ReviewRules,
    "challenge_rules": ChallengeRules,
    "fallback_rules": FallbackRules,
    "fallback_order": FallbackOrder,
    "excluded": Excluded,
    "position": LogPosition,
    "feature_rules": FeatureRules,
    "outcome_rules": OutcomeRules,
    "inputs_rules": InputsRules,
    "reference_rules": ReferenceRules,
    "series_profile": SeriesProfile,
    "error_model": ErrorModel,
    "error_column": ErrorColumn,
    "skew_rules": SkewRules,
    "without_labels": WithoutLabels,
    "metric_rules": MetricRules,
    "segment_rules": SegmentRules,
    "worst_segment": WorstSegment,
    "incident_cause": IncidentCause,
    "incident_member": IncidentMember,
    "mix_and_within": MixAndWithin,
    "reliability_bin": ReliabilityBin,
    "spread": Spread,
    "series_summary": SeriesSummary,
    "series_quantiles": SeriesQuantiles,
    "histogram": Histogram,
    "category_part": CategoryPart,
    "drift": Drift,
}
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SECTION = re.compile(r"(<!-- generated: (?P<name>[a-z_ ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def json_schemas() -> dict[str, str]:
    """Return the JSON Schema of every event as text, by file name."""
    written = {name: input_schema(model) for name, model in INPUTS.items()}
    written |= {name: output_schema(model) for name, model in OUTPUTS.items()}
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return {
        f"{name}.json": orjson.dumps(
            {"$schema": _DRAFT, "$id": schema_uri(name)} | schema, option=options
        ).decode()
        for name, schema in written.items()
    }


def input_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of an input."""
    return model.model_json_schema(mode="validation")


def output_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of an output. Outputs have all their fields, so all are required."""
    schema = model.model_json_schema(mode="serialization")
    return schema | {"required": list(schema["properties"])}


def tables() -> dict[str, str]:
    """Return every table of docs/wire.md, by the name of its section."""
    written = {f"fields {name}": field_table(input_schema(m)) for name, m in INPUTS.items()}
    written |= {f"fields {name}": field_table(output_schema(m)) for name, m in OUTPUTS.items()}
    written |= {f"fields {name}": field_table(input_schema(m)) for name, m in _PARTS.items()}
    return written | {"topics": topic_table(), "ids": id_table()}


def fill(document: str, sections: Mapping[str, str]) -> str:
    r"""Put each section between its marks in a document.

    Raises
    ------
    KeyError
        When the document has a mark of an unknown section.

    Examples
    --------
    >>> fill("<!-- generated: topics -->\nold\n<!-- end -->\n", {"topics": "new\n"})
    '<!-- generated: topics -->\nnew\n<!-- end -->\n'
    """
    return _SECTION.sub(lambda mark: mark[1] + sections[mark["name"]] + mark[3], document)


def topic_table() -> str:
    """Return the table of topics, with the names and partitions of the default settings."""
    rows = [
        (
            f"`{topic.name}`",
            topic.purpose,
            topic.key,
            str(topic.partitions),
            "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} days",
            f"{topic.max_record_bytes // MIB} MiB",
        )
        for topic in Topics().table()
    ]
    return _table(("topic", "holds", "key", "partitions", "kept", "largest record"), rows)


def id_table() -> str:
    """Return the table of ids by which consumers of an output recognise duplicates."""
    rows = [
        (
            f"`{topic.name}`",
            "the key: the last record of a key counts"
            if topic.id_field is None
            else f"`{topic.id_field}`",
        )
        for topic in Topics().table()
        if topic.is_output or topic.id_field is not None
    ]
    return _table(("topic", "id"), rows)


def field_table(schema: Schema) -> str:
    """Return the table of an event's fields."""
    required = set(schema.get("required", ()))
    rows = [
        (
            f"`{name}`" + (" *" if name in required else ""),
            _type_of(field),
            str(field.get("description", "Type and version of the record.")),
        )
        for name, field in schema["properties"].items()
    ]
    return _table(("field", "type", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _type_of(field: Schema) -> str:
    """Return a field's type in words.

    Examples
    --------
    >>> _type_of({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]})
    'number, 0 to 1; or null'
    >>> _type_of({"type": "object", "additionalProperties": {"type": "string"}})
    'object of string'
    """
    if "$ref" in field:
        return f"object: {field['$ref'].rpartition('/')[2]}"
    if "const" in field:
        return f"`{orjson.dumps(field['const']).decode()}`"
    if "enum" in field:
        return " or ".join(f"`{orjson.dumps(value).decode()}`" for value in field["enum"])
    if "anyOf" in field:
        words = [_type_of(choice) for choice in field["anyOf"]]
        separator = "; or " if any("," in word for word in words) else " or "
        return separator.join(words)
    return _collection(field) + _limits(field)


def _collection(field: Schema) -> str:
    kind = str(field.get("format", field["type"]))
    inner = field.get("additionalProperties" if kind == "object" else "items")
    if not isinstance(inner, dict):
        return kind
    words = _type_of(inner)
    return f"{kind} of ({words})" if "," in words or " or " in words else f"{kind} of {words}"


def _limits(field: Schema) -> str:
    low, above, high = (field.get(k) for k in ("minimum", "exclusiveMinimum", "maximum"))
    limits = {
        "64 bits": low == -(2**63),
        f"{low} to {high}": high is not None and low not in {None, -(2**63)},
        f"at least {low}": low is not None and high is None,
        f"above {above}": above is not None,
        f"at most {high}": high is not None and above is not None,
    }
    words = [limit for limit, is_so in limits.items() if is_so]
    words += [
        f"at most {field[limit]:,} {unit}"
        for limit, unit in (("maxLength", "characters"), ("maxProperties", "entries"))
        if limit in field
    ]
    return "".join(f", {word}" for word in words)
