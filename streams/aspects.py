"""The aspects of a series that can change: one row each, for detection, recovery and alerts.

Rule 1. An aspect without a row cannot be raised: looking it up fails where it is raised.
Rule 2. A new aspect is a row here and the rule or detector that raises it.
"""

from typing import Literal

from msgspec import Struct

from schemas.alert import AlertKind, Severity

SeriesRole = Literal["feature", "score", "prediction", "error", "outcome", "attribution", "joint"]
"""The part that a series plays for its model."""
BEHIND: tuple[SeriesRole, ...] = ("attribution", "joint")
"""Roles of series that are made of features: an alert of a feature goes before theirs."""
RecoveryMeasure = Literal["numbers", "shares", "absence"]
"""The figure of a block by which a series is found back at its reference."""

KIND_OF_ROLE: dict[str, AlertKind] = {
    "feature": "feature_drift",
    "prediction": "prediction_drift",
    "score": "prediction_drift",
    "error": "performance",
    "outcome": "labels",
    "attribution": "attribution",
    "joint": "joint",
}


class Aspect(Struct, frozen=True, kw_only=True):
    """One aspect of a series.

    Parameters
    ----------
    name
        Its name in alerts and fingerprints.
    is_drift
        Whether it is a change of the distribution. Others are faults of data quality.
    relearns
        Whether the series learns a new reference after it.
    recovery
        The measure of recovery, where a detector found the change. A fact recovers by its absence.
    severity
        The severity of a fault of data quality.
    fired, ongoing
        Sentences about ``{subject}``, with ``{went}``, ``{figures}``, ``{category}`` and
        ``{types}``, and with ``{value}``, ``{baseline}`` and ``{size}``. ``{normally}`` and
        ``{reference}`` say whether it is compared with training data.
    first
        The sentence in place of ``fired`` where there is no figure.
    """

    name: str
    is_drift: bool = False
    relearns: bool = False
    recovery: RecoveryMeasure = "absence"
    severity: Severity = "warning"
    fired: str
    ongoing: str
    first: str | None = None

    def kind(self, role: str) -> AlertKind:
        """Return the kind of an alert about this aspect of a series."""
        return KIND_OF_ROLE[role] if self.is_drift else "data_quality"


_ROWS = (
    Aspect(
        name="level",
        is_drift=True,
        relearns=True,
        recovery="numbers",
        fired="{subject} {went} {figures}",
        ongoing="{subject} is {value}, {normally} {baseline}{size}",
    ),
    Aspect(
        name="spread",
        is_drift=True,
        relearns=True,
        recovery="numbers",
        fired="the standard deviation of {subject} {went} {figures}",
        ongoing="the standard deviation of {subject} is {value}, {normally} {baseline}",
    ),
    Aspect(
        name="share",
        is_drift=True,
        relearns=True,
        recovery="shares",
        fired="the share of {category} in {subject} {went} {figures}",
        ongoing="the share of {category} in {subject} is {value}, {normally} {baseline}",
    ),
    Aspect(
        name="missing",
        recovery="shares",
        fired="the missing values of {subject} {went} {figures}",
        ongoing="{value} of the values of {subject} are missing, {normally} {baseline}",
    ),
    Aspect(
        name="unseen",
        fired="{subject} has a category that {reference} does not contain",
        ongoing="{value} of the values of {subject} are categories outside {reference}",
    ),
    Aspect(
        name="stuck",
        fired="{subject} repeats one value",
        ongoing="{subject} repeats one value",
    ),
    Aspect(
        name="constant",
        relearns=True,
        severity="info",
        fired="{subject} was constant and varies now",
        ongoing="{subject} was constant and varies now",
    ),
    Aspect(
        name="type",
        recovery="shares",
        first="{subject} has {types}",
        fired="the share of {types} in {subject} {went} {figures}",
        ongoing="{value} of the values of {subject} are {types}, {normally} {baseline}",
    ),
    Aspect(
        name="text",
        severity="info",
        fired="{subject} holds numbers as text, so that their size is not watched",
        ongoing="{subject} holds numbers as text, so that their size is not watched",
    ),
)

ASPECTS: dict[str, Aspect] = {aspect.name: aspect for aspect in _ROWS}
