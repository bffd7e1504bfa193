"""Figures kept and shown: docs/benchmarks/*.json, docs/benchmarks.md, plots, docs/figures.md.

Each benchmark saves its measurements; the pages and the plots are made of everything that is saved,
so no figure there was typed.

    python -m benchmarks.pages      makes them again from what is saved
"""

import json
from typing import Any

from benchmarks import contest_report, growth_report, latency_report, sources_report
from benchmarks.throughput import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
PARTS = {
    "contest": contest_report,
    "growth": growth_report,
    "latency": latency_report,
    "sources": sources_report,
}
BEGIN = "<!-- figures of speed: made by --write, see benchmarks.md -->"
END = "<!-- end of figures of speed -->"


def save(part: str, results: dict[str, Any]) -> None:
    """Keep what a benchmark measured, and renew everything that is made of it."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / f"{part}.json").write_text(text, encoding="utf-8")
    renew()


def renew() -> None:
    """Make the pages and the plots from what is saved."""
    page = [
        "# Benchmarks",
        "",
        "Made by the commands named here, with `--write`; the figures lie in",
        "[benchmarks/](benchmarks/). Detection has [its own page](detection-figures.md), faults",
        "[theirs](chaos.md).",
    ]
    summary = [
        "",
        "Tables, plots, machine and versions are in [benchmarks.md](benchmarks.md), the rivals in",
        "[benchmarks/rivals/](../benchmarks/rivals/).",
        "",
        "| what | figure | command |",
        "|---|---|---|",
    ]
    for part, report in PARTS.items():
        path = FOLDER / f"{part}.json"
        if not path.exists():
            continue
        results = json.loads(path.read_text(encoding="utf-8"))
        page += ["", *report.page(results)]
        summary += report.summary(results)
        report.plot(results, FOLDER)
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    _put_into_figures(summary)


def _put_into_figures(summary: list[str]) -> None:
    page = ROOT / "docs" / "figures.md"
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"docs/figures.md has no place for the figures: {BEGIN} ... {END}")
    lines = "\n".join(["", *summary, ""])
    page.write_text(f"{before}{begin}{lines}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    renew()
