"""The parts of a record's value that a map reads, with their types: the form of a decoder.

A part has one type. A part that a condition sees must have the value that JSON gives it: a number
that is read as a probability has become a float, which a function could tell from 1.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Optional

from msgspec import UNSET, Meta, Raw, UnsetType, defstruct, field
from msgspec.json import Decoder

from streams.ingest.sources.expression import Node, Read

INT64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_SCALAR = bool | INT64 | float | str
_ENVELOPES = ("payload", "specversion")
"""Fields by which the value of an envelope is known: see `decode`."""
_ITEMS = 0
"""The key of a part that is an item of an array."""
Steps = tuple[str | int, ...]
"""The names and places of a path, without its first: ``value``."""


class NotPlainError(Exception):
    """A map has more than plain paths, or reads one part in two ways."""


class _Part:
    """A part of the value; ``attribute`` is its name in the decoded struct."""

    def __init__(self, attribute: str = "") -> None:
        self.attribute = attribute
        self.parts: dict[str | int, _Part] = {}
        self.type: Any = None
        self.is_exact = True
        self.is_compared = False

    def form(self) -> Any:
        """Return its type, as msgspec has it.

        Raises
        ------
        NotPlainError
            When it is read in two ways.
        """
        if not self.parts:
            if self.is_compared and not self.is_exact:
                raise NotPlainError
            return self.type or (_SCALAR if self.is_compared else Any)
        if self.type is not None or self.is_compared:
            raise NotPlainError
        items = self.parts.get(_ITEMS)
        if items is None:
            return defstruct("Part", self.fields(), gc=False)
        if len(self.parts) > 1:
            raise NotPlainError
        return list[Optional[items.form()]]  # type: ignore[misc]  # noqa: UP045 - made at run time

    def fields(self) -> list[tuple[str, Any, Any]]:
        """Return its named parts as fields of a struct; null is as good as absent."""
        return [
            (part.attribute, Optional[part.form()], field(default=None, name=str(name)))  # noqa: UP045
            for name, part in self.parts.items()
        ]


class TypedPaths:
    """The paths that the sources of a topic read."""

    def __init__(self) -> None:
        self._value = _Part()

    def read_as(self, steps: Steps, of_type: Any, *, is_exact: bool) -> Read:
        """Return the reader of a path whose value must have a type.

        Parameters
        ----------
        steps
            The path.
        of_type
            The type.
        is_exact
            Whether a value of this type is the one that JSON gives.

        Raises
        ------
        NotPlainError
            When it is read in two ways.
        """
        on_path = self._at(steps)
        part = on_path[-1]
        if part.type not in (None, of_type):
            raise NotPlainError
        part.type, part.is_exact = of_type, is_exact
        return _reader(steps, on_path)

    def compare(self, steps: Steps) -> Read:
        """Return the reader of a path whose value a condition sees."""
        on_path = self._at(steps)
        on_path[-1].is_compared = True
        return _reader(steps, on_path)

    def presence(self, steps: Steps) -> Read:
        """Return a reader of a path that gives null only where the value is null or absent."""
        return _reader(steps, self._at(steps))

    def decoder(self) -> Callable[[bytes], Any]:
        """Return the decoder of a record's bytes; it returns None for an envelope.

        Raises
        ------
        NotPlainError
            When a part is read in two ways, or may be that of an envelope.
        """
        if any(name in self._value.parts for name in _ENVELOPES):
            raise NotPlainError
        envelope = [(name, Raw | UnsetType, UNSET) for name in _ENVELOPES]
        form = defstruct("Value", [*self._value.fields(), *envelope], gc=False)
        decode = Decoder(form).decode

        def read(value: bytes) -> Any:
            root: Any = decode(value.decode())  # msgspec checks no UTF-8 in what it passes over
            return root if root.payload is root.specversion is UNSET else None

        return read

    def _at(self, steps: Steps) -> list[_Part]:
        part, found = self._value, []
        for step in steps:
            key = step if isinstance(step, str) else _ITEMS
            part = part.parts.setdefault(key, _Part(f"f{len(part.parts)}"))
            found.append(part)
        return found


def steps_of(node: Node) -> Steps | None:
    """Return the path of a node into the value; None for any other node, and the value itself."""
    steps = _flat(node)
    if steps is None or len(steps) < 2 or steps[0] != "value":
        return None
    return steps[1:]


def _flat(node: Node) -> Steps | None:
    if node["type"] in {"field", "index"}:
        return (node["value"],)
    if node["type"] not in {"subexpression", "index_expression"}:
        return None
    found: list[str | int] = []
    for child in node["children"]:
        steps = _flat(child)
        if steps is None:
            return None
        found += steps
    return tuple(found)


def _reader(steps: Steps, on_path: Sequence[_Part]) -> Read:
    if all(isinstance(step, str) for step in steps):
        path = attrgetter(".".join(part.attribute for part in on_path))
        return path if len(steps) == 1 else _deep(path)
    keys = [
        part.attribute if isinstance(step, str) else step
        for step, part in zip(steps, on_path, strict=True)
    ]

    def read(value: Any) -> Any:
        for key in keys:
            if value is None:
                return None
            if isinstance(key, str):
                value = getattr(value, key)
            else:
                value = value[key] if -len(value) <= key < len(value) else None
        return value

    return read


def _deep(path: Callable[[Any], Any]) -> Read:
    def read(value: Any) -> Any:
        try:
            return path(value)
        except AttributeError:  # of None: an object on the path is absent
            return None

    return read
