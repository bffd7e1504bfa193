"""Cells of CSV as values: numbers as numbers, empty cells as null."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WORDS: dict[str, Any] = {
    "": None,
    "null": None,
    "NaN": None,
    "nan": None,
    "true": True,
    "True": True,
    "false": False,
    "False": False,
}
SAMPLE_ROWS = 1_000
"""Rows by which the type of a column is known: a thousand show a code among numbers."""


def typed(cell: str) -> Any:
    """Return the value that a cell spells: a number of JSON, true, false, null, or its text.

    Examples
    --------
    >>> [typed(cell) for cell in ("41000", "-1.5e3", "007", "true", "", "food")]
    [41000, -1500.0, '007', True, None, 'food']
    """
    if cell in _WORDS:
        return _WORDS[cell]
    if not _NUMBER.fullmatch(cell):
        return cell
    return int(cell) if cell.lstrip("-").isdigit() else float(cell)


def typed_rows(names: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table as objects.

    A column in whose first ``SAMPLE_ROWS`` rows some cell is text holds text throughout: a code
    such as 75001 between 2A004 and 75002 is no number.

    Parameters
    ----------
    names
        Names of the columns.
    lines
        The cells of each row, as text.
    """
    rows = iter(lines)
    sample = list(islice(rows, SAMPLE_ROWS))
    is_text = [
        any(isinstance(typed(row[place]), str) for row in sample if place < len(row))
        for place in range(len(names))
    ]
    for row in chain(sample, rows):
        yield {
            name: (cell or None) if of_text else typed(cell)
            for name, of_text, cell in zip(names, is_text, row, strict=False)
        }
