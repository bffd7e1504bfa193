"""Lines of docs/performance-figures.md: a figure held against its bound, on seeds."""

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


def put(section: str, lines: Sequence[str]) -> None:
    """Replace a section of the page, which stands between two comments with its name."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    head, rest = PAGE.read_text(encoding="utf-8").split(begin, 1)
    text = "\n".join((begin, *lines, end))
    PAGE.write_text(f"{head}{text}{rest.split(end, 1)[1]}", encoding="utf-8")
