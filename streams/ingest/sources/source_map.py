"""Sources: the declarative map from records of other systems to events, read and checked.

Every mistake is found here, at start, and named with the field, its value and the remedy.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeGuard, get_args

from schemas.inputs import Inputs
from schemas.outcome import Outcome
from schemas.prediction import Prediction
from schemas.report import Report
from streams.ingest.sources.expression import (
    ExpressionError,
    Read,
    compile_expression,
)

MappedKind = Literal["prediction", "inputs", "outcome", "report"]
"""Kinds of events that a source can give."""
Encoding = Literal["json", "cloudevents", "confluent", "avro", "msgpack", "gzip+json"]
INSTANT_OF: dict[MappedKind, str] = {
    "prediction": "predicted_at",
    "inputs": "at",
    "outcome": "observed_at",
    "report": "at",
}
"""The field that holds an event's instant. Where a map leaves it out, it is the record's time."""
_FIELDS: dict[MappedKind, frozenset[str]] = {
    "prediction": frozenset(Prediction.model_fields),
    "inputs": frozenset(Inputs.model_fields),
    "outcome": frozenset(Outcome.model_fields),
    "report": frozenset(Report.model_fields),
}
_REQUIRED: dict[MappedKind, tuple[str, ...]] = {
    "prediction": ("prediction_id", "model_id", "prediction"),
    "inputs": ("prediction_id", "model_id", "features"),
    "outcome": ("prediction_id", "model_id", "outcome"),
    "report": ("report_id", "prediction_id", "model_id"),
}
_OBJECTS = frozenset(("features", "segment", "scores", "explanation"))
"""Fields that may be written out, an expression for each of their own fields."""
_KNOWN = ("topic", "decode", "when", "as", "each", "corrections", "fields")
_CORRECTIONS = ("first", "last")
"""Which outcome of a prediction counts, as in the spec of a model."""
_IS_LAST = {"corrections": "'last'"}
"""The field by which an outcome says that the last one counts."""
_OF_FILE = ("registry", "sources")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_ADDRESS = re.compile(r"https?://[^\s/@]+(/\S*)?")
_SHOWN_CHARACTERS = 80
"""Characters of a wrong value in a message."""


class SourcesError(ValueError):
    """A mistake in the sources. The message names the field, its value and the remedy."""


class SourceMap(NamedTuple):
    """One source: which records of a topic become which events.

    Parameters
    ----------
    kind
        Kind of its events.
    when
        Gives whether it takes a record; None: it takes every one.
    each
        Gives the list of which every item is an event; None: the record is one event.
    fields
        Gives the value of each field of an event.
    place
        Its place in the file, from 0, for messages.
    maps_features, has_instant
        Whether its events have features of their own, and an instant that is not the record's.
    written
        The source as the file has it.
    """

    kind: MappedKind
    when: Read | None
    each: Read | None
    fields: tuple[tuple[str, Read], ...]
    place: int
    maps_features: bool
    has_instant: bool
    written: Mapping[str, Any]


class TopicSources(NamedTuple):
    """The sources of one topic, in the order of the file."""

    topic: str
    decode: Encoding
    maps: tuple[SourceMap, ...]

    @property
    def kind(self) -> MappedKind:
        """The kind by which its partitions are ranked among events of one instant."""
        return self.maps[0].kind


class Sources(NamedTuple):
    """The sources of a file, by topic.

    Parameters
    ----------
    by_topic
        The sources of each topic.
    registry
        Address of the schema registry; None without one.
    """

    by_topic: Mapping[str, TopicSources]
    registry: str | None = None

    @property
    def has_inputs(self) -> bool:
        """Whether a source gives the inputs of predictions as records of their own."""
        return any(
            each.kind == "inputs" for sources in self.by_topic.values() for each in sources.maps
        )


def parse_sources(data: object, own_topics: Iterable[str] = ()) -> Sources:
    """Read sources from decoded YAML.

    Parameters
    ----------
    data
        The file.
    own_topics
        Topics that no source may read, since Tidegauge writes them or they hold specs.

    Raises
    ------
    SourcesError
        Names the field, its value and the remedy.
    """
    file = _object("the file", data, _OF_FILE)
    registry = file.get("registry")
    if registry is not None and not (_is_text(registry) and _ADDRESS.fullmatch(registry)):
        raise _wrong(
            where="registry", given=registry, wanted="an address like http://registry:8081"
        )
    given = file.get("sources")
    if not isinstance(given, list) or not given:
        raise _wrong(where="sources", given=given, wanted="a list with at least one source")
    found: dict[str, TopicSources] = {}
    for place, each in enumerate(given):
        topic, decode, source = _source(place, each)
        where = f"sources[{place}]"
        if topic in set(own_topics):
            raise _wrong(f"{where}.topic", topic, "a topic of another system; this one is ours")
        if decode == "confluent" and registry is None:
            msg = f"{where}.decode: confluent needs the schemas; add `registry: http://HOST:PORT`"
            raise SourcesError(msg)
        before = found.get(topic)
        if before is None:
            found[topic] = TopicSources(topic, decode, (source,))
            continue
        _check_together(where, before, decode, source)
        found[topic] = before._replace(maps=(*before.maps, source))
    return Sources(found, registry)


def _check_together(where: str, before: TopicSources, decode: Encoding, source: SourceMap) -> None:
    """Refuse a source that can take nothing, or reads its topic otherwise than those before it."""
    if before.decode != decode:
        raise _wrong(
            f"{where}.decode", decode, f"{before.decode}, as in the first source of {before.topic}"
        )
    for other in before.maps:
        if other.kind == source.kind and other.when is None:
            msg = (
                f"{where}: takes no record, since sources[{other.place}] takes all of "
                f"{before.topic} as {other.kind}; give that one a `when`, or put it last"
            )
            raise SourcesError(msg)


def _source(place: int, given: object) -> tuple[str, Encoding, SourceMap]:
    where = f"sources[{place}]"
    source = _object(where, given, _KNOWN)
    topic = source.get("topic")
    if not (_is_text(topic) and _TOPIC.fullmatch(topic)):
        raise _wrong(f"{where}.topic", topic, "the name of a topic")
    decode = source.get("decode", "json")
    if decode not in get_args(Encoding):
        raise _wrong(f"{where}.decode", decode, f"one of {', '.join(get_args(Encoding))}")
    kind = _kind(where, source.get("as"))
    source = _with_corrections(where, source)
    has_each = "each" in source
    when = _expression(f"{where}.when", source["when"]) if "when" in source else None
    each = _expression(f"{where}.each", source["each"]) if has_each else None
    fields = _fields(f"{where}.fields", kind, source.get("fields"), has_each=has_each)
    names = {name for name, _ in fields}
    has_instant = INSTANT_OF[kind] in names
    maps_features = "features" in names
    return (
        topic,
        decode,
        SourceMap(kind, when, each, fields, place, maps_features, has_instant, source),
    )


def _with_corrections(where: str, source: dict[str, Any]) -> dict[str, Any]:
    """Return a source with the field of its events that `corrections: last` asks for."""
    given = source.get("corrections", "first")
    if given not in _CORRECTIONS:
        raise _wrong(f"{where}.corrections", given, f"one of {', '.join(_CORRECTIONS)}")
    if "corrections" in source and source["as"] != "outcome":
        msg = f"{where}.corrections: is for sources with `as: outcome`; remove it"
        raise SourcesError(msg)
    fields = source.get("fields")
    if given == "first" or not isinstance(fields, dict):
        return source
    return source | {"fields": fields | _IS_LAST}


def _kind(where: str, given: object) -> MappedKind:
    for kind in get_args(MappedKind):
        if given == kind:
            found: MappedKind = kind
            return found
    raise _wrong(f"{where}.as", given, f"one of {', '.join(get_args(MappedKind))}")


def _fields(
    where: str, kind: MappedKind, given: object, *, has_each: bool
) -> tuple[tuple[str, Read], ...]:
    fields = _object(where, given, sorted(_FIELDS[kind]))
    for name in _REQUIRED[kind]:
        if name not in fields and not (name == "prediction" and "status" in fields):
            raise SourcesError(f"{where}: {name} is missing; every {kind} needs it")
    return tuple(
        (name, _field(f"{where}.{name}", name, each, has_each=has_each))
        for name, each in fields.items()
    )


def _field(where: str, name: str, given: object, *, has_each: bool) -> Read:
    if not (name in _OBJECTS and isinstance(given, dict)):
        return _expression(where, given, has_each=has_each)
    parts = [
        (str(part), _expression(f"{where}.{part}", each, has_each=has_each))
        for part, each in given.items()
    ]
    return lambda scope: {part: read(scope) for part, read in parts}


def _expression(where: str, given: object, *, has_each: bool = False) -> Read:
    if not isinstance(given, str):
        raise _wrong(where, given, """an expression; a constant is written "'loan'" or "`1`\"""")
    try:
        return compile_expression(given, has_each=has_each)
    except ExpressionError as error:
        raise SourcesError(f"{where} = {_shown(given)}: {error}") from None


def _object(where: str, given: object, known: Iterable[str]) -> dict[str, Any]:
    names = list(known)
    if not isinstance(given, dict):
        raise _wrong(where, given, f"fields with values, of {', '.join(names)}")
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
            raise SourcesError(f"{where}: unknown field {_shown(name)}; {hint}")
    return given


def _is_text(given: object) -> TypeGuard[str]:
    return isinstance(given, str)


def _wrong(where: str, given: object, wanted: str) -> SourcesError:
    found = "is missing" if given is None else f"= {_shown(given)}"
    return SourcesError(f"{where} {found}: must be {wanted}")


def _shown(given: object) -> str:
    shown = repr(given)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."
