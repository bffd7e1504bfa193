from __future__ import annotations

import io

import pytest
from rich.console import Console

from agents.page.top import Heading, frame
from agents.page.views import PortfolioQuery, portfolio
from tests.agents.page.sample import HOSTILE, NOW_MS, Log, alert, small_log

HEADING = Heading("gauge", None, NOW_MS - 4_000, NOW_MS)


def shown(
    log: Log, heading: Heading = HEADING, *, width: int = 100, height: int = 24, **query: str
) -> list[str]:
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    view = portfolio(log.store, PortfolioQuery(**query))  # type: ignore[arg-type]
    console.print(frame(view, heading, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 160])
def test_the_models_that_need_a_person_come_first_on_one_line_each(width: int) -> None:
    first, _, head, top, *rest = shown(small_log(), width=width)

    assert first.split("  ")[0] == "gauge"
    assert "7 models  1 critical  1 warning" in first
    assert width == 80 or "tick 4 s ago" in first
    assert head.split()[:2] == ["model", "error"]
    short = alert("car_loan")["fingerprint"][:8]
    assert top.split()[0] == "car_loan"
    assert "7.9%" in top
    assert "90%" in top
    assert f"critical {short} +1 the error" in top
    assert ("14 days" in head) is (width == 160)
    assert "money" not in head
    assert any("calm" in line and "none" in line for line in rest)
    assert all(len(line) <= width for line in [first, head, top, *rest])


def test_more_models_than_lines_are_counted() -> None:
    log = Log()
    for number in range(40):
        log.fire(alert(f"m{number:02}"))

    lines = shown(log, height=20)

    assert sum(" critical " in line for line in lines[2:]) == 14
    assert "26 more models; Ctrl-C ends it." in lines[-1]
    assert len(lines) <= 20


def test_a_broker_that_is_away_and_an_empty_portfolio_say_so() -> None:
    away = shown(Log(), HEADING._replace(trouble="Kafka does not answer", is_ready=False))
    empty, selected = shown(Log()), shown(small_log(), state="muted")

    assert away[1].strip() == "Kafka does not answer"
    assert away[-1].strip() == "Reading the topics ..."
    assert empty[-1].strip() == "No model has an alert, a spec or figures yet."
    assert selected[-1].strip() == "None of 7 models is selected."


def test_hostile_names_are_shown_as_text() -> None:
    log = small_log()
    log.fire(alert("[red]model[/red]"))
    lines = shown(log, width=400)

    assert any(line.startswith("[red]model[/red]") for line in lines)
    assert not any("\u202e" in line for line in lines)
    assert any(HOSTILE[1][:20] in line for line in lines)
