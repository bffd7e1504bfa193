"""The cost of a map told: a table for the docs."""

from pathlib import Path
from typing import Any


def page(results: dict[str, Any]) -> list[str]:
    """Return the section of docs/benchmarks.md."""
    core_us, ingest_us = results["core_us"], results["ingest_us"]
    ours_us = next(iter(ingest_us.values()))

    def row(name: str, us: float) -> str:
        of_core = core_us / (core_us + 2 * (us - ours_us))
        return f"| {name} | {us:.1f} us | {ours_us / us:.0%} | {of_core:.0%} |"

    return [
        "## Sources",
        "",
        f"`python -m benchmarks.sources --write` (1 minute): {results['machine']}.",
        "CPU time of ingest for an event, of 10 features: decoding, map, checks and packing, as",
        f"the median of {results['rounds']} paired rounds of {results['pairs']:,} pairs. A pair in",
        f"our form takes {core_us:.1f} us of the core: ingest and monitor without a broker.",
        "",
        "| records | ingest, an event | rate of ingest | rate of the core |",
        "|---|---|---|---|",
        *[row(name, us) for name, us in ingest_us.items()],
    ]


def summary(results: dict[str, Any]) -> list[str]:
    """Return no line: the section is short."""
    del results
    return []


def plot(results: dict[str, Any], folder: Path) -> None:
    """Plot nothing: three figures are a table."""
    del results, folder
