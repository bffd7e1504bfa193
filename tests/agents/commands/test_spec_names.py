"""A spec in the log that names what its model does not have is told where a person looks."""

import pytest

from agents.commands.spec_names import names_nothing
from streams.model.state import spec_of_snapshot
from tests.doubles.core import log_of, play, taken_in
from tests.doubles.inputs import Removal, prediction, spec


def said(values: list[bytes | Removal]) -> list[str]:
    model = play(log_of(taken_in(values))).monitor.known.look_at("m")
    assert model is not None
    snapshot = model.snapshot()
    return names_nothing("m", spec_of_snapshot(snapshot), snapshot)


@pytest.mark.parametrize(
    ("features", "sentences"),
    [
        (
            {"ignore": ["incom"]},
            ["features.ignore names no feature of the model so far: incom. Did you mean income?"],
        ),
        ({"ignore": ["income"]}, []),
    ],
)
def test_a_misspelt_feature_is_named_with_the_one_that_it_resembles(
    features: dict[str, list[str]], sentences: list[str]
) -> None:
    predictions = [prediction(f"p{row}", features={"income": float(row)}) for row in range(30)]

    assert said([*predictions, spec(features=features)]) == sentences


def test_a_spec_of_a_model_that_never_answers_says_so() -> None:
    assert said([spec(owner="risk")]) == [
        "No prediction of m has come yet: check its name, or wait for one."
    ]
