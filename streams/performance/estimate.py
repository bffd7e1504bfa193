"""Performance without labels: what the scores of a cohort say, once they mean what they say.

Confidence-based estimation, by counters: an answer of a score counts as right with the probability
that the calibration map gives it (as NannyML's CBPE). It is blind to a change of what scores mean:
its audit is the realised figure, later.
"""

from collections.abc import Iterable

from streams.codec import Machine
from streams.detect.cohort_kernel import cell_of
from streams.detect.compiled import Singles
from streams.performance.figures import Positive
from streams.performance.score_counts import ScoredCount


class Estimate(Machine):
    """The estimate of one cohort, as of its end.

    Attributes
    ----------
    map_version
        The map that it was made with; None for a regression.
    n
        Answers with a score; of a regression with features.
    error, auc, f1, mae
        The figures; None where there is nothing to estimate them by.
    """

    map_version: int | None
    n: int
    error: float | None = None
    auc: float | None = None
    f1: float | None = None
    mae: float | None = None


def estimate_of(
    counts: Iterable[ScoredCount], positive: Positive, chances: Singles, map_version: int
) -> Estimate | None:
    """Return the estimate of a cohort by a map; None without an answer that has a score."""
    by_cell: dict[int, list[float]] = {}
    for score, prediction, _, n in counts:
        if score is not None:
            of_answer = positive.is_said_by(prediction)
            by_cell.setdefault(cell_of(score), [0.0, 0.0])[of_answer] += n
    if not by_cell:
        return None
    hits = false = missed = rest = twice = below = 0.0
    for cell in sorted(by_cell):
        chance, (others, positives) = float(chances[cell]), by_cell[cell]
        both = others + positives
        hits += positives * chance
        false += positives * (1 - chance)
        missed += others * chance
        rest += others * (1 - chance)
        twice += both * chance * (2 * below + both * (1 - chance))
        below += both * (1 - chance)
    total, true = hits + false + missed + rest, hits + missed
    pairs = 2 * true * (total - true)
    is_binary = positive.label is not None
    return Estimate(
        map_version,
        round(total),
        round((false + missed) / total, 6),
        round(twice / pairs, 6) if pairs else None,
        round(2 * hits / (2 * hits + false + missed), 6) if is_binary and hits else None,
    )
