"""The money of one answer, as a spec tells it."""

from schemas.model_spec import CostRules
from streams.performance.cohort import MONEY
from streams.values import Answer, text_of

_MOST = 2.0**53
"""Parts: a double counts no further, and no wrong field may make a sum of a day useless."""


def at_stake(rules: CostRules, prediction: Answer) -> float | None:
    """Return the money between the right answer and the dearest mistake; None where none is told.

    Examples
    --------
    >>> rules = CostRules(matrix={"0": {"0": 0.0, "1": -40.0}, "1": {"0": -900.0, "1": 120.0}})
    >>> [at_stake(rules, prediction) for prediction in (0, 1, 2)]
    [900.0, 160.0, None]
    >>> at_stake(CostRules(per_error=25.0), 1)
    25.0
    """
    if rules.matrix is None:
        return rules.per_error
    name = text_of(prediction)
    column = {outcome: row.get(name) for outcome, row in rules.matrix.items()}
    gained, mistakes = (
        column.pop(name, None),
        [each for each in column.values() if each is not None],
    )
    if gained is None or not mistakes:
        return None
    return max(0.0, gained - min(mistakes))


def price_of(
    rules: CostRules, prediction: Answer, outcome: Answer, given: float | None, error: float | None
) -> int | None:
    """Return the money that an answer gained, in ``MONEY`` parts; None where it is not told.

    Parameters
    ----------
    rules
        The `cost` of a spec.
    prediction, outcome
        The answer and the truth.
    given
        The money in the field `value` of the outcome.
    error
        1 for a wrong answer, 0 for a right one; the distance of a regression; None where a half of
        it is no number.

    Examples
    --------
    >>> rules = CostRules(matrix={"0": {"0": 0.0, "1": -40.0}, "1": {"0": -900.0, "1": 120.0}})
    >>> [price_of(rules, p, o, None, None) for p, o in ((0, 1), (1, 0), (1, 1), (2, 1))]
    [-9000000, -400000, 1200000, None]
    """
    if rules.matrix is not None:
        gained = rules.matrix.get(text_of(outcome), {}).get(text_of(prediction))
    elif rules.per_error is not None:
        gained = None if error is None else -rules.per_error * abs(error)
    else:
        gained = given
    if gained is None or abs(gained) * MONEY > _MOST:
        return None
    return round(gained * MONEY)
