"""The jobs of the contest, what a run took, and who stands where after all rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.contenders import CONTENDERS, Contender

START_PAIRS = 2_000
WHOLE_PAIRS = 200_000
SLOW_SHARE = 10
FEWEST_PAIRS = 10_000
"""A slow contender's share is no smaller: else its start would be all that is measured."""


@dataclass(frozen=True, slots=True)
class Job:
    """A size of the job, and who takes part.

    Parameters
    ----------
    only
        Names of those who take part; empty is everyone.
    """

    name: str
    pairs: int
    models: int = 1
    features: int = 10
    only: tuple[str, ...] = ()

    def pairs_of(self, contender: Contender) -> int:
        """Return how many pairs a contender is given."""
        if contender.is_slow:
            return max(self.pairs // SLOW_SHARE, min(self.pairs, FEWEST_PAIRS))
        return self.pairs


START = Job("start", START_PAIRS)
JOBS = (
    Job("1 model", 200_000),
    Job("50 models", 200_000, models=50),
    Job("500 features", 20_000, features=500, only=("Tidegauge", "bare aiokafka", "Faust")),
    Job("10,000 models", 200_000, models=10_000, only=("Tidegauge",)),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender took for one job, once."""

    job: str
    contender: str
    round: int
    given: int
    rows: int
    pairs: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    remark: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One contender at one job, over all rounds.

    Parameters
    ----------
    rates
        Pairs per second, sorted, one a round.
    cpu_s
        CPU seconds per 100,000 pairs, sorted, one a round; the start is not in them.
    start_cpu_s
        What the start took: the median.
    """

    contender: str
    given: int
    rates: list[float]
    cpu_s: list[float]
    start_cpu_s: float
    peak_mb: float
    lost: int
    doubled: int
    remarks: list[str]

    @property
    def rate(self) -> float:
        """Pairs per second: the median."""
        return statistics.median(self.rates)

    @property
    def cpu(self) -> float:
        """CPU seconds per 100,000 pairs without the start: the median."""
        return statistics.median(self.cpu_s)

    @property
    def cpu_with_start(self) -> float:
        """The same with the start, for a run over 200,000 pairs."""
        after_start_s = self.cpu * (WHOLE_PAIRS - START_PAIRS) / 100_000
        return (self.start_cpu_s + after_start_s) / WHOLE_PAIRS * 100_000


def standings(runs: Sequence[Run], job: str) -> list[Standing]:
    """Return who did what at a job, in the order in which they took part."""
    names = [each.name for each in CONTENDERS]
    found: list[Standing] = []
    for name in names:
        own = [run for run in runs if run.contender == name and run.job == job]
        own = [run for run in own if run.pairs > 2 * START_PAIRS]
        starts = [run.cpu_s for run in runs if run.contender == name and run.job == START.name]
        if not own or not starts:
            continue
        start = statistics.median(starts)
        found.append(
            Standing(
                contender=name,
                given=own[0].given,
                rates=sorted(run.rows / max(run.wall_s, 0.001) for run in own),
                cpu_s=sorted(
                    (run.cpu_s - start) / (run.pairs - START_PAIRS) * 100_000 for run in own
                ),
                start_cpu_s=start,
                peak_mb=statistics.median(run.peak_mb for run in own),
                lost=max(run.given - run.pairs for run in own),
                doubled=max(run.rows - run.pairs for run in own),
                remarks=sorted({run.remark for run in own if run.remark}),
            )
        )
    return found
