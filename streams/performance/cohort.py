"""A cohort: the predictions that one version of a model made in one hour or one day, counted.

Rule 1. A prediction is counted in the cohort of its own instant, and so is its outcome, however
        late that comes.
Rule 2. Everything is counted one event at a time, in log order: how the log is cut changes nothing.
Rule 3. An outcome is counted only where its prediction was.
"""

from msgspec import Struct, field

from streams.codec import Machine
from streams.performance.cells import add_duration
from streams.performance.score_counts import ScoreCounts
from streams.values import OTHER

MOST_SOURCES = 8
"""Origins of outcomes counted by name: label, review, report and a few of the user's own."""

MONEY = 10_000
"""Parts of the currency in which money is added up: integers give one sum in any order."""


class CountedPrediction(Struct, frozen=True, gc=False):
    """The fields of a prediction that a cohort counts.

    Parameters
    ----------
    score
        Its score, if any.
    label
        The number of its label; 0 for every prediction of a regression.
    status
        Its status on the wire.
    latency_ms
        Its latency, if known.
    expected
        The error to be expected of it, in units of the error model; None where that is not told.
    """

    score: float | None
    label: int
    status: str
    latency_ms: float | None
    expected: int | None = None


class CountedOutcome(Struct, frozen=True, gc=False):
    """The fields of an outcome, and of its pair, that a cohort counts.

    Parameters
    ----------
    label
        The number of its label; 0 for a regression.
    is_error
        Whether the answer was wrong; None for a regression.
    distance
        The prediction less the outcome, for a regression.
    delay_ms
        Milliseconds from the prediction to its outcome.
    source
        Its origin.
    gained
        Money that the answer gained, in ``MONEY`` parts; None where that is not told.
    """

    label: int
    is_error: bool | None
    distance: float | None
    delay_ms: int
    source: str
    gained: int | None = None


class Cohort(Machine):
    """The counts of one cohort.

    Attributes
    ----------
    n, fallbacks, unanswered
        Predictions, and of these the ones of a fallback, and those without an answer. Neither are
        answers of the model: no score, label or outcome of them is counted.
    labelled, errors
        Predictions whose outcome is known, and of these the wrong ones.
    absolute, squared, signed
        Sums of the distances of a regression.
    distances, incomparable
        Their number; pairs of a regression of which one half is text.
    gained, priced
        Money of the labelled answers, in ``MONEY`` parts, and their number.
    expected, foretold
        The sum of the errors to be expected, in units of the error model, and their number.
    """

    n: int = 0
    fallbacks: int = 0
    unanswered: int = 0
    labelled: int = 0
    errors: int = 0
    distances: int = 0
    incomparable: int = 0
    gained: int = 0
    priced: int = 0
    expected: int = 0
    foretold: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    signed: float = 0.0
    sources: dict[str, int] = {}
    delays: dict[int, int] = {}
    delays_of_errors: dict[int, int] = {}
    latencies: dict[int, int] = {}
    scores: ScoreCounts = field(default_factory=ScoreCounts)

    def on_prediction(self, prediction: CountedPrediction) -> None:
        """Count a prediction."""
        self.n += 1
        self.fallbacks += prediction.status == "fallback"
        self.unanswered += prediction.status == "error"
        if prediction.latency_ms is not None:
            add_duration(self.latencies, prediction.latency_ms)
        if prediction.expected is not None:
            self.expected += prediction.expected
            self.foretold += 1
        if prediction.status == "ok":
            self.scores.add_prediction(prediction.score, prediction.label)

    def on_outcome(self, prediction: CountedPrediction, outcome: CountedOutcome) -> bool:
        """Count the outcome of a prediction; return whether that was counted here."""
        if not self.scores.add_outcome(prediction.score, prediction.label, outcome.label):
            return False
        self.labelled += 1
        self.errors += outcome.is_error is True
        if outcome.gained is not None:
            self.gained += outcome.gained
            self.priced += 1
        if outcome.distance is None:
            self.incomparable += outcome.is_error is None
        else:
            self.distances += 1
            self.absolute += abs(outcome.distance)
            self.squared += outcome.distance * outcome.distance
            self.signed += outcome.distance
        add_duration(self.delays_of_errors if outcome.is_error else self.delays, outcome.delay_ms)
        is_full = outcome.source not in self.sources and len(self.sources) >= MOST_SOURCES
        source = OTHER if is_full else outcome.source
        self.sources[source] = self.sources.get(source, 0) + 1
        return True

    def all_delays(self) -> dict[int, int]:
        """Return the delays of all outcomes, by cell."""
        cells = self.delays.keys() | self.delays_of_errors.keys()
        return {
            cell: self.delays.get(cell, 0) + self.delays_of_errors.get(cell, 0) for cell in cells
        }

    def add_all(self, other: "Cohort") -> None:
        """Add the counts of another version."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTS:
            mine: dict[str | int, int] = getattr(self, name)
            for key, n in getattr(other, name).items():
                mine[key] = mine.get(key, 0) + n
        self.scores.add_all(other.scores)


_COUNTS = ("sources", "delays", "delays_of_errors", "latencies")
_SUMS = tuple(name for name in Cohort.__struct_fields__ if name not in {*_COUNTS, "scores"})
