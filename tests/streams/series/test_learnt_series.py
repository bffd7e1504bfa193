import pytest

from streams.series.learnt_series import Detectors, LearntSeries


class Detector:
    """A detector with fixed claims, and the budgets it was given."""

    def __init__(self, *, is_fine: bool) -> None:
        self.is_settled = self.is_steady = self.is_calm = is_fine
        self.budgets: list[float] = []

    def set_budget(self, false_alarms: float) -> None:
        self.budgets.append(false_alarms)


def series_of(*detectors: Detector) -> LearntSeries:
    class Series(LearntSeries):
        @property
        def detectors(self) -> Detectors:
            return detectors  # type: ignore[return-value] # doubles

    return Series()


@pytest.mark.parametrize(
    ("claims", "expected"), [([], True), ([True], True), ([True, False], False)]
)
def test_a_series_is_settled_steady_and_calm_if_all_its_detectors_are(
    claims: list[bool], expected: bool
) -> None:
    series = series_of(*(Detector(is_fine=claim) for claim in claims))

    assert (series.is_settled, series.is_steady, series.is_calm) == (expected,) * 3


def test_detectors_have_equal_parts_of_the_budget() -> None:
    detectors = Detector(is_fine=True), Detector(is_fine=True)

    series_of(*detectors).set_budget(0.02)

    assert [detector.budgets for detector in detectors] == [[0.01], [0.01]]
