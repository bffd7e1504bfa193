"""The fields of an alert that its publisher fills in, from its own settings.

They say where an alert comes from, not what was found. The core leaves them null, so an alert
stays a function of the log: ids, fingerprints and stored state do not depend on them, and whoever
compares published alerts with a replay sets them aside.
"""

import re

import orjson

EDGE_FIELDS = ("deployment", "url")
"""The last fields of an alert, in this order. A status ends with its alert, and so with them."""
_TEXT = rb'(?:null|"(?:[^"\\]|\\.)*")'
_FIRST = f',"{EDGE_FIELDS[0]}":'.encode()
_AT_EDGE = re.compile(
    b"".join(b',"%b":%b' % (name.encode(), _TEXT) for name in EDGE_FIELDS) + rb"(\}+)"
)


def with_edge(value: bytes, *filled: str | None) -> bytes:
    """Return a record that ends with the fields of the edge, with other contents of these.

    All other bytes stay as they are. Records of another form, deletions among them, are returned
    unchanged.

    Parameters
    ----------
    value
        A record of ``alerts`` or ``status``.
    filled
        The contents, in the order of `EDGE_FIELDS`; none: all are null.

    Examples
    --------
    >>> with_edge(b'{"value":1.0,"deployment":null,"url":null}', "staging", None)
    b'{"value":1.0,"deployment":"staging","url":null}'
    >>> with_edge(b'{"value":1.0,"deployment":"staging","url":null}')
    b'{"value":1.0,"deployment":null,"url":null}'
    """
    at = value.rfind(_FIRST)
    found = _AT_EDGE.fullmatch(value, at) if at >= 0 else None
    if found is None:
        return value
    contents = filled or (None,) * len(EDGE_FIELDS)
    fields = (
        b',"%b":%b' % (name.encode(), orjson.dumps(content))
        for name, content in zip(EDGE_FIELDS, contents, strict=True)
    )
    return value[:at] + b"".join(fields) + found[1]
