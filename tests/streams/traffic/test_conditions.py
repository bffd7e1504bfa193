from pathlib import Path
from typing import get_args

import pytest

from schemas.model_spec import LONGEST_S
from streams.alert.record import anchor_of
from streams.change import Figures
from streams.ingest.unread import MAX_CHARACTERS, MAX_NAMES
from streams.join.unjoined import Disjoint
from streams.traffic.conditions import CONDITIONS, ConditionKind, condition_kind, condition_of
from streams.traffic.disagreement import unjoined_because

KINDS: tuple[ConditionKind, ...] = get_args(ConditionKind)
LONGEST = Figures(8_726_400.0, 8_726_400.0, effect=1e9, rows=9_999_999)
NAMES = ", ".join(["x" * MAX_CHARACTERS] * MAX_NAMES) + " and 999 more"
LATE = Disjoint(0.0, 200, "late", late_ms=8_726_400_000)
LARGEST = Figures(0.9999, 0.9999, effect=1e9, rows=9_999_999)


# Rule 1


def test_every_condition_has_a_row_of_its_own() -> None:
    assert tuple(CONDITIONS) == KINDS
    assert [condition_kind(row.series, row.aspect) for row in CONDITIONS.values()] == list(KINDS)
    assert condition_kind("feature/age", "level") is None


def test_every_condition_has_an_entry_in_the_runbook() -> None:
    entries = (Path(__file__).parents[3] / "docs" / "runbook.md").read_text().splitlines()

    for row in CONDITIONS.values():
        assert f"### {anchor_of(row.kind, row.aspect)}" in entries


# Rule 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_is_short_and_ends_with_the_advice(kind: ConditionKind) -> None:
    longest: dict[str, str] = {
        "prediction_silence": "; no outcomes arrive either",
        "unread": NAMES,
        "left_out": NAMES,
        "outcome_left_out": NAMES,
        "new_features": NAMES,
        "unjoined": unjoined_because(LATE, LONGEST_S),
        "mismatch": 'answers text like "12345678", outcomes numbers like 12345678',
    }
    also = longest.get(kind, "")
    figures = LONGEST if CONDITIONS[kind].unit == "ratio" else LARGEST

    condition = condition_of(kind, None if kind == "version" else figures, also)

    for sentence in (condition.says, f"{condition.over}, after 100 d 23 h"):
        assert len(f"Model {'m' * 40}: {sentence}.") <= 200
        assert not sentence.endswith(".")
        assert "{" not in sentence
    assert condition.says.count(". ") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_figures_keep_their_values_and_get_the_unit_of_the_condition(kind: ConditionKind) -> None:
    condition = condition_of(kind, Figures(0.5, 0.25, effect=3.0))

    figures = condition.figures
    assert (figures.value, figures.baseline, figures.effect) == (0.5, 0.25, 3.0)
    assert (figures.unit, figures.direction) == (CONDITIONS[kind].unit, "up")


def test_a_silence_has_durations_and_a_share_has_percentages() -> None:
    silence = condition_of("prediction_silence", Figures(960, 60), "; outcomes still arrive")
    share = condition_of("fallback", Figures(0.34, 0.005, rows=1_200))

    assert silence.says == (
        "no predictions for 16 min, normally at most 1 min at this hour; outcomes still arrive. "
        "Check the prediction service"
    )
    assert share.says == (
        "34.0 % of the last 1,200 answers came from a fallback, normally 0.5 %. "
        "Check the model service"
    )
