"""Which alerts a target receives: by severity, kind, model and owner.

Rule 1. A field that is not named selects everything. Of one field any of its values may fit; of
        several fields all must.
Rule 2. Whoever was sent an alert is sent its resolution as well, also where it fits no longer.
Rule 3. A selection is a part of the name of the target's consumer group: two processes with one
        address and two selections each read all of ``alerts``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, get_args

from schemas.alert import Alert, AlertKind, Severity

_WORDS: dict[str, tuple[str, ...]] = {
    "severity": get_args(Severity),
    "kind": get_args(AlertKind),
}
"""Fields with a fixed set of values."""
_PATTERNS = ("model", "owner")
"""Fields whose values may hold ``*`` and ``?``, as names of files do in a shell."""


class Selection(NamedTuple):
    """The alerts that a target receives; by default all.

    Parameters
    ----------
    severity, kind
        Values, one of which an alert has.
    model, owner
        Patterns, one of which fits; an alert without an owner fits ``*`` alone.
    """

    severity: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()

    def wants(self, alert: Alert) -> bool:
        """Tell whether an alert fits."""
        return (
            (not self.severity or alert.severity in self.severity)
            and (not self.kind or alert.kind in self.kind)
            and _fits(self.model, alert.model_id)
            and _fits(self.owner, alert.owner or "")
        )

    def wants_model(self, model_id: str) -> bool:
        """Tell whether a model fits."""
        return _fits(self.model, model_id)

    @property
    def text(self) -> str:
        """The selection in words, for a log line and a group's name; empty where it is all."""
        named = zip(self._fields, self, strict=True)
        return " ".join(f"{name}={','.join(sorted(values))}" for name, values in named if values)


ALL = Selection()


def _fits(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def read_selection(fields: Mapping[str, Any]) -> Selection:
    """Return a selection of values by field, each a text or a list of texts.

    Raises
    ------
    ValueError
        When a field or a value does not exist, with a sentence for the operator.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, given in fields.items():
        if name not in (*_WORDS, *_PATTERNS):
            raise ValueError(f"{name}: no such field; {_nearest(name, (*_WORDS, *_PATTERNS))}")
        values = [given] if isinstance(given, str) else given
        if not isinstance(values, list) or not values or not all(map(_is_text, values)):
            raise ValueError(f"{name} = {given!r}: must be a text or a list of texts")
        for value in values:
            if name in _WORDS and value not in _WORDS[name]:
                raise ValueError(f"{name} = {value!r}: {_nearest(value, _WORDS[name])}")
        found[name] = tuple(values)
    return Selection(**found)


def read_only(texts: Iterable[str], models: Sequence[str], owners: Sequence[str]) -> Selection:
    """Return the selection of ``--only FIELD=VALUE``, ``--model`` and ``--owner``.

    Raises
    ------
    ValueError
        When one is wrong, with a sentence for the operator.
    """
    fields: dict[str, list[str]] = {"model": list(models), "owner": list(owners)}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r}: write --only FIELD=VALUE, severity=critical for example")
        fields.setdefault(name, []).append(value)
    return read_selection({name: values for name, values in fields.items() if values})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _nearest(word: str, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {near[0]}?" if near else f"choose one of {', '.join(words)}"
