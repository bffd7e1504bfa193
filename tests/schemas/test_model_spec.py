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
        ({"alert_budget": 0}, r"alert_budget: .*greater than 0, got 0"),
        ({"alert_budget": float("nan")}, r"alert_budget: .*got nan"),
        ({"alert_budget": "0.2"}, r"alert_budget: .*got '0\.2'"),
        ({"alert_bugdet": 1}, r"alert_bugdet: unknown field; did you mean alert_budget\?"),
        ({"features": {"ignored": []}}, r"features\.ignored: unknown field; did you mean ignore\?"),
        ({"outcome": {"wait": 3}}, r"outcome\.wait: unknown field; did you mean wait_s\?"),
        ({"outcome": {"wait_s": -1}}, r"outcome\.wait_s: .*greater than 0, got -1"),
        ({"features": {"ignore": "row_id"}}, r"features\.ignore: .*got 'row_id'"),
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
