"""What the figures of a model wait for, in words: for people who look at its settings."""

from streams.clock import duration_text
from streams.performance.calibration import JUDGED
from streams.performance.ledger import LedgerState
from streams.performance.nowcast import Outlook
from streams.performance.segments import SegmentsState


def what_figures_wait_for(state: LedgerState, now_ms: int, wait_ms: int) -> list[str]:
    """Return sentences about figures that are not told yet, and about the age of settled outcomes.

    Parameters
    ----------
    state
        The figures.
    now_ms, wait_ms
        The clock of the model, and its wait for outcomes.
    """
    outlook = Outlook(state.history, now_ms, wait_ms)
    if outlook.settled_ms is None:
        return [
            "Completeness, nowcast and money wait until the oldest days show how late outcomes are."
        ]
    lines = [f"Its outcomes have settled {duration_text(outlook.settled_ms)} after a prediction."]
    if outlook.base is None:
        lines.append("Nowcast and money wait for 20 right answers and 20 errors of settled days.")
    calibration = state.calibration
    if calibration is not None and not calibration.is_judging:
        lines.append(
            f"What its scores mean is learnt from {calibration.labels:,} settled labels; it is "
            f"watched, and days are estimated without labels, from {JUDGED:,} on."
        )
    return lines


NO_ERROR_MODEL = (
    "An error without labels waits for a profile of this regression, made with "
    "`tidegauge profile --estimate`."
)


def what_segments_wait_for(state: SegmentsState, *, is_late: bool, has_features: bool) -> str:
    """Return a sentence about what the segments wait for, or watch.

    Parameters
    ----------
    state
        The segments.
    is_late
        Whether labels come late.
    has_features
        Whether the spec names features as dimensions.
    """
    ring = state.ring
    if ring is None:
        first = "the references of its features" if has_features else "a row with a `segment`"
        return f"Segments wait for {first}, and then for labelled rows."
    if not ring.is_learnt:
        rows = ring.last - ring.first + 1
        return f"Segments are learnt from {rows:,} of {ring.most:,} labelled rows."
    if is_late:
        return "Segments are not watched while labels come late; an alert still names the worst."
    watched, dimensions = int((ring.watched > 0).sum()), len(ring.dimensions)
    return f"{watched:,} segments of {dimensions} dimensions are watched."
