"""What the figures of a model wait for, in words: for people who look at its settings."""

from streams.clock import duration_text
from streams.performance.calibration import JUDGED
from streams.performance.ledger import LedgerState
from streams.performance.nowcast import Outlook


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
