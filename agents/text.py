"""Text from outside that people see: it must not steer a terminal, nor read as another text."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STEERING = (0x85, 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Marks of direction (Unicode annex 9), which show text in another order than it has, and the line
and paragraph separators, which some readers of lines take for an end."""
_UNPRINTABLE = dict.fromkeys(
    (*range(0x20), *range(0x7F, 0xA0), *_STEERING), "\N{REPLACEMENT CHARACTER}"
)
_REPLACED = dict.fromkeys(_STEERING, "\N{REPLACEMENT CHARACTER}")
_ESCAPED = {mark: f"\\u{mark:04x}" for mark in _STEERING}
_STEERING_BYTES = re.compile(b"|".join(chr(each).encode() for each in _STEERING))


def printable(text: str) -> str:
    """Return ``text`` without control characters: a model's name must not steer a terminal."""
    return text.translate(_UNPRINTABLE)


def escaped(line: bytes) -> bytes:
    """Return a line of JSON with its marks of direction and line separators as escapes."""
    return _STEERING_BYTES.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), line)


def harmless(text: str, *, is_terminal: bool) -> str:
    """Return ``text``, its marks of direction replaced for a terminal or escaped for a pipe."""
    return text.translate(_REPLACED if is_terminal else _ESCAPED)


@contextmanager
def harmless_output() -> Iterator[None]:
    """Make standard output in the block `harmless`: names come from anywhere.

    JSON stays JSON: an escape stands within a string, where the mark stood.
    """
    plain = sys.stdout
    stream = _HarmlessOutput(
        plain.buffer, encoding=plain.encoding, errors=plain.errors, line_buffering=plain.isatty()
    )
    sys.stdout = stream
    try:
        yield
        stream.flush()
    finally:
        sys.stdout = plain
        with suppress(BrokenPipeError):
            stream.detach()  # or the end of the stream would close standard output


class _HarmlessOutput(io.TextIOWrapper):
    def write(self, text: str) -> int:
        return super().write(harmless(text, is_terminal=self.isatty()))
