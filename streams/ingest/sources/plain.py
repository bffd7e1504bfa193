"""Records whose map has plain paths alone, read in one pass: decoded, checked and mapped at once.

Where the fields of a topic's sources are constants and paths into the value, it is known at start
which parts are read, and of which type each must be. A decoder of this form passes over all else,
and gives values that need no second check.

Rule 1. Nothing is refused or left out here. Of a record in any other form, an envelope among them,
        `PlainTopic.read` returns None, and the general way reads it again. Of any other record the
        general way gives the same events, in the same bytes.
"""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, NamedTuple, Optional, Union, get_args, get_type_hints

import jmespath
from msgspec import UNSET, MsgspecError, UnsetType, convert, defstruct, field

from schemas.event import EventKind
from schemas.fast import Name, PlainOutcome, PlainPrediction, encode
from schemas.instants import FIRST_INSTANT_MS, LAST_INSTANT_MS
from schemas.wire import MAX_FEATURES, MAX_NAME, to_epoch_ms
from streams.ingest.sources.expression import (
    Node,
    Read,
    compile_node,
    constant,
    holds,
    is_compiled,
)
from streams.ingest.sources.source_map import INSTANT_OF, MappedKind, SourceMap, TopicSources
from streams.ingest.sources.typed_paths import INT64, NotPlainError, TypedPaths, steps_of

_EVENTS: dict[str, type[PlainPrediction | PlainOutcome]] = {
    "prediction": PlainPrediction,
    "outcome": PlainOutcome,
}
_REQUIRED = 4
"""The first fields of an event: its ids, its instant, its label."""
_OPTIONAL = (UnsetType, NoneType)
_FLOATS = frozenset(("score", "scores", "latency_ms", "explanation", "value"))
"""Fields that hold floats: 1 in JSON becomes 1.0."""
_IDS = frozenset(("prediction_id", "model_id"))
PlainEvent = tuple[EventKind, str, int, bytes]
"""The kind of an event, its model, its instant in epoch milliseconds, its payload."""


class _Source(NamedTuple):
    """One source at work: ``reads`` are in the order of the fields of ``form``."""

    kind: EventKind
    of: MappedKind
    when: Read | None
    form: Any
    reads: list[Read]
    has_instant: bool


class PlainTopic:
    """Reads the records of a topic whose sources have plain paths alone.

    Parameters
    ----------
    sources
        The sources of the topic.
    halves
        Whether predictions without features wait for these.

    Raises
    ------
    NotPlainError
        When they have more.
    """

    def __init__(self, sources: TopicSources, *, halves: bool) -> None:
        if sources.decode != "json":
            raise NotPlainError
        self._paths = TypedPaths()
        self._sources = [self._source(each, halves=halves) for each in sources.maps]
        self._decode = self._paths.decoder()

    def read(self, value: bytes, at_ms: int | None) -> list[PlainEvent] | None:
        """Return the events of a record; None where the general way has to read it (Rule 1).

        Parameters
        ----------
        value
            Its bytes.
        at_ms
            Its instant, in epoch milliseconds; None where it has none.
        """
        try:
            decoded = self._decode(value)
        except (MsgspecError, ValueError, RecursionError):
            return None
        if decoded is None:
            return None
        found: list[PlainEvent] = []
        taken: list[str] = []
        for source in self._sources:
            if source.of in taken or not (source.when is None or holds(source.when, decoded)):
                continue
            event = _event(source, decoded, at_ms)
            if event is None:
                return None
            taken.append(source.of)
            found.append(event)
        return found

    def _source(self, source: SourceMap, *, halves: bool) -> _Source:
        event = _EVENTS.get(source.kind)
        if source.each is not None or event is None:
            raise NotPlainError
        kind: EventKind = source.kind
        if kind == "prediction" and halves and not source.maps_features:
            kind = "half"
        types = get_type_hints(event, include_extras=True)
        given: Mapping[str, Any] = source.written["fields"]
        fields: list[tuple[str, str]] = []
        reads: list[Read] = []
        names = zip(event.__struct_fields__, event.__struct_encode_fields__, strict=True)
        for place, (attribute, name) in enumerate(names):
            if name in given:
                reads.append(self._field(name, given[name], _required(name, types[attribute])))
            elif name == INSTANT_OF[source.kind]:
                reads.append(constant(None))
            elif place < _REQUIRED:
                raise NotPlainError
            else:
                continue
            fields.append((attribute, name))
        form = defstruct("Event", [(each, Any, field(name=name)) for each, name in fields])
        when = self._condition(source.written.get("when"))
        return _Source(kind, source.kind, when, form, reads, source.has_instant)

    def _field(self, name: str, given: Any, of_type: Any) -> Read:
        if isinstance(given, str):
            return self._path(given, of_type, is_exact=name not in _FLOATS)
        if name != "features" or len(given) > MAX_FEATURES:
            raise NotPlainError
        if not all(0 < len(str(part)) <= MAX_NAME for part in given):
            raise NotPlainError
        _, of_feature = get_args(get_args(of_type)[0])
        of_feature = _without_optional(of_feature)
        parts = [
            (str(part), self._path(text, of_feature, is_exact=True)) for part, text in given.items()
        ]
        return lambda value: {part: read(value) for part, read in parts}

    def _path(self, text: str, of_type: Any, *, is_exact: bool) -> Read:
        node = jmespath.compile(text).parsed
        if node["type"] == "literal":
            try:
                return constant(convert(node["value"], Optional[of_type]))  # noqa: UP045
            except MsgspecError:
                raise NotPlainError from None
        steps = steps_of(node)
        if steps is None:
            raise NotPlainError
        return self._paths.read_as(steps, of_type, is_exact=is_exact)

    def _condition(self, text: str | None) -> Read | None:
        return None if text is None else compile_node(jmespath.compile(text).parsed, self._node)

    def _node(self, node: Node) -> Read | None:
        """Return the reader of a path of a condition; None for a node that its parts make up.

        Raises
        ------
        NotPlainError
            For a node that is neither.
        """
        if _is_null(node):
            return constant(None)
        steps = steps_of(node)
        if steps is not None:
            return self._paths.compare(steps)
        if node["type"] in {"field", "subexpression", "index_expression"} or not is_compiled(node):
            raise NotPlainError
        return self._comparison(node) if node["type"] == "comparator" else None

    def _comparison(self, node: Node) -> Read | None:
        """Return the reader of a comparison with null, for which a part may have any type."""
        first, second = node["children"]
        path = first if _is_null(second) else second
        steps = steps_of(path)
        if steps is None or not (_is_null(first) or _is_null(second)):
            return None
        read, is_equal = self._paths.presence(steps), node["value"] == "eq"
        return lambda value: (read(value) is None) is is_equal


def _event(source: _Source, value: Any, at_ms: int | None) -> PlainEvent | None:
    prediction_id, model_id, at, label, *others = [read(value) for read in source.reads]
    if not source.has_instant:
        at = at_ms
    elif type(at) is str:
        try:
            at = to_epoch_ms(at)
        except ValueError:
            return None
    if prediction_id is None or model_id is None or label is None or at is None:
        return None
    if not FIRST_INSTANT_MS <= at <= LAST_INSTANT_MS:
        return None
    if type(prediction_id) is int:
        prediction_id = str(prediction_id)
    if type(model_id) is int:
        model_id = str(model_id)
    optional = [UNSET if each is None else each for each in others]
    payload = encode(source.form(prediction_id, model_id, at, label, *optional))
    return source.kind, model_id, at, payload


def _required(name: str, hint: Any) -> Any:
    """Return the type of a field that is there; ids may be numbers, which become text."""
    return Name | INT64 if name in _IDS else _without_optional(hint)


def _without_optional(hint: Any) -> Any:
    kinds = get_args(hint)
    if not any(each in kinds for each in _OPTIONAL):
        return hint
    kept: Sequence[Any] = [each for each in kinds if each not in _OPTIONAL]
    return Union[tuple(kept)]  # noqa: UP007 - made at run time


def _is_null(node: Node) -> bool:
    is_field = node["type"] == "field" and node["value"] == "null"
    return is_field or (node["type"] == "literal" and node["value"] is None)
