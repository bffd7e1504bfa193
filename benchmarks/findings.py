"""Sections of the pages of figures; lines of a figure held against its bound, on seeds."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance-figures.md"


class Finding(NamedTuple):
    """A line of the page: what was held against which bound, on which seeds."""

    check: str
    expected: str
    got: str
    is_met: bool
    seeds: str


def table_of(findings: Iterable[Finding]) -> list[str]:
    """Return the lines of a table."""
    lines = ["| check | expected | got | met | seeds |", "|---|---|---|---|---|"]
    for each in findings:
        met = "yes" if each.is_met else "**no**"
        lines.append(f"| {each.check} | {each.expected} | {each.got} | {met} | {each.seeds} |")
    return lines


def put(section: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Replace a section of a page, which stands between two comments with its name; or add it."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    made, text = "\n".join((begin, *lines, end)), page.read_text(encoding="utf-8")
    before = next((each for each in sections_of(text) if each.startswith(begin)), None)
    text = f"{text.rstrip()}\n\n{made}\n" if before is None else text.replace(before, made)
    page.write_text(text, encoding="utf-8")


def sections_of(text: str) -> list[str]:
    """Return the sections of a page, with the comments around them."""
    found = re.finditer(r"<!-- ([\w ]+): begin -->.*?<!-- \1: end -->", text, re.DOTALL)
    return [each.group() for each in found]
