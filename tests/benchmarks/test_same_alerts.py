"""Whether two commits raise the same alerts: how their records are compared, and the input."""

import pytest

from benchmarks.mixed_streams import mixed_stream
from benchmarks.same_alerts import TOLERANCE, Difference, Record, compare, sentences

ALERT: Record = {
    "alert_id": "a1",
    "series": "feature/age",
    "status": "firing",
    "value": 0.25,
    "baseline": None,
    "moved_together": [{"series": "score", "effect": 1.5}],
    "evidence": {"partition": 0, "first_offset": 7},
    "summary": "The age rose.",
    "runbook": "docs/runbook.md",
}


def changed(**fields: object) -> Record:
    return ALERT | fields


@pytest.mark.parametrize(
    ("field", "now", "path"),
    [
        ("alert_id", "a2", "alert_id"),
        ("value", 0.25 * (1 + 2 * TOLERANCE), "value"),
        ("value", None, "value"),
        ("baseline", 0.0, "baseline"),
        ("evidence", {"partition": 0, "first_offset": 8}, "evidence.first_offset"),
        (
            "moved_together",
            [{"series": "score", "effect": 1.500001}],
            "moved_together[0].effect",
        ),
    ],
)
def test_a_field_that_differs_is_reported_by_its_path(field: str, now: object, path: str) -> None:
    comparison = compare("alert", [ALERT, ALERT], [ALERT, changed(**{field: now})])

    assert [(each.record, each.field) for each in comparison.differences] == [
        ("alert 2 (feature/age firing)", path)
    ]


def test_a_field_that_only_one_record_has_is_reported() -> None:
    less = {name: value for name, value in ALERT.items() if name != "baseline"}

    lost, new = compare("alert", [ALERT], [less]), compare("alert", [less], [ALERT])

    record = "alert 1 (feature/age firing)"
    assert lost.differences == [Difference(record, "baseline", None, "absent")]
    assert new.differences == [Difference(record, "baseline", "absent", None)]


def test_an_integer_has_no_tolerance_and_is_not_a_figure_or_a_flag() -> None:
    for was, now in ((10**12, 10**12 + 1), (1, 1.0), (1, True)):
        comparison = compare("alert", [changed(rows=was)], [changed(rows=now)])

        assert len(comparison.differences) == 1


def test_a_figure_within_tolerance_is_equal_and_its_deviation_is_kept() -> None:
    together = [{"series": "score", "effect": -1.5 * (1 + 1e-12)}]
    base = changed(moved_together=[{"series": "score", "effect": -1.5}], zero=0.0)
    here = changed(moved_together=together, zero=-0.0)

    comparison = compare("alert", [base], [here])

    assert comparison.differences == []
    assert comparison.deviation == pytest.approx(1e-12, rel=0.01)


def test_wording_may_differ() -> None:
    here = changed(summary="The mean of age rose.", runbook="runbook.md#level")

    assert compare("alert", [ALERT], [here]).differences == []


def test_records_are_compared_in_their_order_and_one_too_few_is_reported() -> None:
    other = changed(alert_id="a2")

    swapped = compare("alert", [ALERT, other], [other, ALERT])
    fewer = compare("alert", [ALERT, other], [ALERT])

    assert [each.field for each in swapped.differences] == ["alert_id", "alert_id"]
    assert fewer.differences == [
        Difference("alert 2 (feature/age firing)", "the record itself", "present", "absent")
    ]


def test_the_first_differences_are_sentences_and_the_rest_a_count() -> None:
    differences = [Difference(f"alert {number}", "value", 1.0, 2.0) for number in range(1, 8)]

    told = list(sentences("story", differences))

    assert told[0] == "story, alert 1: value is 1.0 at the base and 2.0 here"
    assert told[-1] == "story: 2 more differences"


def test_a_seed_gives_one_stream() -> None:
    assert mixed_stream(3) == mixed_stream(3)
    assert mixed_stream(3).predictions != mixed_stream(4).predictions
