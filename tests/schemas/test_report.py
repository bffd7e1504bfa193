import pytest
from pydantic import ValidationError

from schemas.report import Report


@pytest.mark.parametrize("about", [{"prediction_id": "p"}, {"model_id": "m"}])
def test_a_report_is_about_a_prediction_or_a_model(about: dict[str, str]) -> None:
    report = Report.model_validate({"report_id": "r", "reported_at": 1_760_000_000_000} | about)

    assert report.reported_at == 1_760_000_000_000


def test_a_report_about_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="names a prediction_id or a model_id"):
        Report.model_validate({"report_id": "r", "reported_at": 1_760_000_000_000})
