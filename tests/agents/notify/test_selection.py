from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.errors import FileError, OperatorError
from agents.notify.destinations import read_destinations
from agents.notify.notify import PAGERDUTY_URL
from agents.notify.routes import Route, read_routes
from agents.notify.selection import ALL, Selection, read_only
from tests.doubles.alerts import alert

LOAN = alert(model_id="loan-eu", owner="risk", severity="critical")


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (ALL, True),
        (Selection(severity=("critical",)), True),
        (Selection(severity=("info", "warning")), False),
        (Selection(model=("fraud", "loan*")), True),
        (Selection(model=("loan",)), False),
        (Selection(owner=("risk",)), True),
        (Selection(owner=("RISK",)), False),
        (Selection(kind=("feature_drift",), owner=("fraud",)), False),
    ],
)
def test_any_value_of_a_field_and_every_field_must_fit(selection: Selection, fits: bool) -> None:
    assert selection.wants(LOAN) is fits


def test_an_alert_without_an_owner_fits_any_owner_alone() -> None:
    assert Selection(owner=("*",)).wants(alert())
    assert not Selection(owner=("risk",)).wants(alert())


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ("severity=crticial", "severity = 'crticial': did you mean critical?"),
        ("severty=critical", "severty: no such field; did you mean severity?"),
        ("severity", "write --only FIELD=VALUE"),
        ("kind=", "kind = [''"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(only: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_only([only], [], [])


def test_a_file_holds_several_targets_each_with_its_alerts(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(
        "targets:\n"
        "  - to: webhook=http://risk\n"
        "    owner: risk\n"
        "  - to: webhook=http://all\n"
        "    severity: [critical, warning]\n"
        "heartbeat: webhook=http://beat\n"
    )

    read = read_routes(path)

    assert read.routes == [
        Route("webhook=http://risk", Selection(owner=("risk",))),
        Route("webhook=http://all", Selection(severity=("critical", "warning"))),
    ]
    assert read.heartbeat == "webhook=http://beat"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("targets: {", "line 1: it is no YAML"),
        ("to: slack=blue-heron", "needs a list named targets"),
        ("targets: [{owner: risk}]", "target 1: to: missing"),
        ("targets: [{to: slack=x, severity: high}]", "target 1: severity = 'high': choose one of"),
        ("targets: [{to: slack=x, sevrity: info}]", "did you mean severity?"),
        ("targets: []\nheartbeats: x", "heartbeats: no such field"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_without_its_text(
    tmp_path: Path, text: str, sentence: str
) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text(text)

    with pytest.raises(OperatorError) as caught:
        read_routes(path)

    assert sentence in str(caught.value)
    assert "blue-heron" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_routes(tmp_path / "none.yaml")


def test_one_address_with_two_selections_has_two_groups() -> None:
    routes = [Route("webhook=http://a"), Route("webhook=http://a", Selection(owner=("risk",)))]

    plain, chosen = read_destinations(routes, PAGERDUTY_URL)

    assert plain.label != chosen.label
    assert chosen.name == "The webhook at http://a (owner=risk)"
    assert [each.label for each in read_destinations(routes, PAGERDUTY_URL)] == [
        plain.label,
        chosen.label,
    ]
