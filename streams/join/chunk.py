"""The stored form of the events that wait, shared by the rooms of the join.

Rule 1. The bytes of a sealed chunk never change. A snapshot names the chunk by its number, and
        the entries that are left of it.
Rule 2. An entry is one line: its place in the chunk, its instant, and its text. The text has no
        line break: JSON escapes them, and ingest writes payloads on one line.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct


class SealedChunk(Struct, frozen=True, array_like=True):
    """A sealed chunk, as a snapshot names it.

    Parameters
    ----------
    number
        Its number in its room, from 1.
    count
        Entries that it was sealed with.
    live
        The places still taken, as the bits of a big-endian number.
    """

    number: int
    count: int
    live: bytes


def lines_of(entries: Iterable[tuple[int, int, bytes]]) -> bytes:
    r"""Return entries as lines: place, instant in epoch ms, text.

    Examples
    --------
    >>> lines_of([(0, 1_000, b'{"id":1}'), (3, 2_000, b'{"id":2}')])
    b'0 1000 {"id":1}\n3 2000 {"id":2}'
    """
    return b"\n".join([b"%d %d %b" % entry for entry in entries])


def entries_of(lines: bytes, live: int = -1) -> Iterator[tuple[int, int, bytes]]:
    r"""Yield the entries of `lines_of` whose bit in ``live`` is set; by default, all.

    Examples
    --------
    >>> list(entries_of(b"0 1000 {}\n3 2000 []", live=0b1000))
    [(3, 2000, b'[]')]
    """
    for line in lines.split(b"\n") if lines else ():
        place, at_ms, text = line.split(b" ", 2)
        if live >> int(place) & 1:
            yield int(place), int(at_ms), text
