"""The conditions of outcomes that do not fit their predictions: by their ids, or their values."""

from streams.change import Condition, Figures
from streams.clock import duration_text
from streams.join.label_match import Mismatch
from streams.join.unjoined import Disjoint
from streams.traffic.conditions import condition_of
from streams.values import Answer, printable, text_of

MAX_CHARACTERS = 8
"""Characters of an example: two of them fit into the sentence of an alert."""


def mismatch_condition(mismatch: Mismatch) -> Condition:
    """Return the condition of outcomes that cannot equal their answers.

    Examples
    --------
    >>> mismatch_condition(Mismatch(1.0, 200, "type", "0", 0)).says
    '100.0 % of 200 outcomes cannot equal an answer (answers text like "0", outcomes numbers like \
0). The error is not judged meanwhile'
    """
    shown = [_shown(each) for each in (mismatch.answer, mismatch.outcome)]
    kinds = ["classes", "classes"]
    if mismatch.reason == "type":
        kinds = [_type(each) for each in (mismatch.answer, mismatch.outcome)]
    elif mismatch.reason == "spelling":
        kinds = ["spelled", "spelled"]
    likes = [f" like {each}" if mismatch.are_classes else "" for each in shown]
    also = f"answers {kinds[0]}{likes[0]}, outcomes {kinds[1]}{likes[1]}"
    return condition_of("mismatch", _figures(mismatch.share, mismatch.rows), also)


def unjoined_condition(disjoint: Disjoint, wait_s: float) -> Condition:
    """Return the condition of outcomes that do not find their predictions.

    Parameters
    ----------
    wait_s
        The longest wait for an outcome, in seconds.
    """
    return condition_of(
        "unjoined",
        _figures(disjoint.share, disjoint.rows),
        unjoined_because(disjoint, wait_s),
    )


def unjoined_because(disjoint: Disjoint, wait_s: float) -> str:
    """Return why outcomes do not find their predictions, and what to do about it."""
    match disjoint.reason:
        case "late":
            late, wait = duration_text(disjoint.late_ms), duration_text(1_000 * wait_s)
            return f"they come {late} after predictions, which wait {wait}. Set outcome.wait_s"
        case "form":
            ids, outcomes = disjoint.forms
            return f"ids of predictions are like {ids}, of outcomes like {outcomes}. Check both"
        case "model":
            return "no prediction names this model. Check model_id on both sides"
        case _:
            return "no prediction that waits has their ids. Check that both use the same id"


def _figures(share: float, rows: int) -> Figures:
    return Figures(share, 0.0, rows=rows)


def _type(value: Answer) -> str:
    if isinstance(value, bool):
        return "booleans"
    return "text" if isinstance(value, str) else "numbers"


def _shown(example: Answer) -> str:
    text = printable(example if isinstance(example, str) else text_of(example))
    text = text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
    return f'"{text}"' if isinstance(example, str) else text
