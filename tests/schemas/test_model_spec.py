import pytest

from schemas.model_spec import ModelSpec, SpecError, parse_spec


def test_an_empty_spec_is_the_default() -> None:
    assert parse_spec({}) == ModelSpec()


def test_a_full_spec_is_read_as_written() -> None:
    spec = parse_spec(
        {
            "model_id": "car_loan",
            "owner": "risk",
            "task": "binary",
            "alert_budget": 1,
            "features": {"ignore": ["row_id"], "categorical": ["zip"]},
            "outcome": {"wait_s": 3600, "max_waiting": 10},
        }
    )

    assert spec.features.ignore == ("row_id",)
    assert spec.features.categorical == ("zip",)
    assert spec.outcome.wait_s == 3600
    assert spec.alert_budget == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"task": "guessing"}, r"task: Input should be 'binary'.*got 'guessing'"),
        ({"alert_budget": 0}, r"alert_budget: .*greater than or equal to 0.000001, got 0"),
        ({"alert_budget": float("nan")}, r"alert_budget: .*got nan"),
        ({"alert_budget": "0.2"}, r"alert_budget: .*got '0\.2'"),
        ({"alert_bugdet": 1}, r"alert_bugdet: unknown field; did you mean alert_budget\?"),
        ({"features": {"ignored": []}}, r"features\.ignored: unknown field; did you mean ignore\?"),
        ({"outcome": {"wait": 3}}, r"outcome\.wait: unknown field; did you mean wait_s\?"),
        (
            {"outcome": {"wait_s": -1}},
            r"outcome\.wait_s: .*greater than or equal to 0\.001, got -1",
        ),
        ({"alert_budget": 1e-15}, r"alert_budget: .*or equal to 0\.000001, got 1e-15"),
        ({"outcome": {"wait_s": 1.8e305}}, r"outcome\.wait_s: .*less than .*got 1\.8e\+305"),
        ({"outcome": {"wait_s": 5e-324}}, r"outcome\.wait_s: .*or equal to 0\.001, got 5e-324"),
        ({"outcome": {"max_waiting": 2**31}}, r"outcome\.max_waiting: .*got 2147483648"),
        ({"alerts": {"renotify_s": 1e300}}, r"alerts\.renotify_s: .*less than .*got 1e\+300"),
        ({"alert_budget": 10**400}, r"alert_budget: .*got 1000"),
        ({"features": {"ignore": "row_id"}}, r"features\.ignore: .*got 'row_id'"),
        ({"calibration": {}}, r"calibration is made of .*off: add `metrics: \{every: day\}`"),
        (
            {"calibration": {}, "metrics": {"cohorts": False}},
            r"calibration is made of .*off: remove `metrics\.cohorts: false`",
        ),
        (
            {"cost": {"matrix": {"0": {"0": 1.7e308}}}, "metrics": {}},
            r"cost\.matrix\.0\.0: .*less than or equal to 1000000000000, got 1\.7e\+308",
        ),
        ({"xyz": 1}, r"xyz: unknown field$"),
        ([], r"the spec: .*got \[\]"),
        (None, r"the spec: .*got None"),
    ],
)
def test_a_mistake_is_named_with_its_field_and_value(data: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        parse_spec(data)


def test_every_mistake_is_named() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec({"task": "x", "alert_budget": -1, "what": 1})

    assert len(str(caught.value).splitlines()) == 3


def test_a_reference_that_nests_deeper_than_any_profile_is_refused() -> None:
    nested: object = 1
    for _ in range(1_000):
        nested = [nested]

    with pytest.raises(SpecError, match="nests deeper than 8 levels; write the profile with"):
        parse_spec({"reference": {"profile": {"score": {"reference": {"a": nested}, "state": ""}}}})
