from typing import Any

import pytest
import yaml

from agents.commands.model_draft import write_draft
from schemas.model_spec import ModelSpec, parse_spec
from tests.doubles.core import Played, log_of, play, taken_in
from tests.doubles.inputs import prediction, spec
from tests.doubles.story import story

SPECS: list[dict[str, Any]] = [
    {},
    {"owner": "risk: ann", "task": "binary", "alert_budget": 3.0},
    {"features": {"ignore": ["b", "a #1"], "categorical": ["zip"]}, "reference": {"rows": 500}},
    {"outcome": {"wait_s": 60.0, "max_waiting": 7}, "alerts": {"hold": 2, "renotify_s": 5.0}},
]


def draft_of(played: Played) -> str:
    return write_draft(played.monitor.models["m"], "events-0 offset 7", [40.0, 3_600.0, 7_200.0])


@pytest.mark.parametrize("given", SPECS, ids=str)
def test_a_draft_applied_as_it_is_changes_nothing(given: dict[str, Any]) -> None:
    played = play(log_of(taken_in([spec(**given), *story(400)])))

    drafted = parse_spec(yaml.safe_load(draft_of(played)))

    assert drafted == ModelSpec.model_validate({"model_id": "m"} | given)


def test_a_draft_tells_what_has_been_seen() -> None:
    text = draft_of(play(log_of(taken_in(story(400)))))

    assert "# 400 predictions, 400 of them labelled." in text
    assert "#   feature/a   numbers, " in text
    assert "#   error       categories: false " in text
    assert "# task: binary" in text
    assert "Of the latest 3 outcomes half came within 1 h, 99 % within 1 h." in text


def test_a_name_with_line_feeds_stays_a_comment() -> None:
    values = [prediction(f"p{row}", features={"a\nalert_budget: 9": 1.0}) for row in range(3)]

    assert yaml.safe_load(draft_of(play(log_of(taken_in(values)))))["alert_budget"] == 0.2
