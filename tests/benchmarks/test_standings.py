import pytest

from benchmarks.contenders import CONTENDERS
from benchmarks.standings import START, START_PAIRS, Job, Run, standings

OURS, FAUST = CONTENDERS[0], CONTENDERS[-1]


def run_of(job: str, number: int, cpu_s: float, **changed: float) -> Run:
    figures = {"given": 200_000, "rows": 200_000, "pairs": 200_000, "wall_s": 10.0}
    return Run(
        job=job,
        contender=OURS.name,
        round=number,
        cpu_s=cpu_s,
        peak_mb=100.0,
        remark="",
        **(figures | changed),  # type: ignore[arg-type]
    )


def start_run(cpu_s: float = 2.0) -> Run:
    return run_of(START.name, 0, cpu_s, given=START_PAIRS, rows=START_PAIRS, pairs=START_PAIRS)


def test_the_start_and_its_pairs_are_taken_off() -> None:
    (standing,) = standings([start_run(2.0), run_of("1 model", 0, 2.0 + 1.98)], "1 model")

    assert standing.cpu == pytest.approx(1.0)
    assert standing.cpu_with_start == pytest.approx(3.98 / 2)


def test_the_median_of_the_rounds_stands() -> None:
    runs = [start_run(), *(run_of("1 model", n, 4.0, wall_s=w) for n, w in enumerate((4, 40, 5)))]

    (standing,) = standings(runs, "1 model")

    assert standing.rates == [5_000, 40_000, 50_000]
    assert standing.rate == 40_000


def test_lost_and_doubled_pairs_are_told_apart() -> None:
    runs = [start_run(), run_of("1 model", 0, 4.0, pairs=199_990, rows=200_001)]

    (standing,) = standings(runs, "1 model")

    assert (standing.lost, standing.doubled) == (10, 11)


def test_a_run_that_is_nearly_all_start_does_not_stand() -> None:
    runs = [start_run(), run_of("1 model", 0, 4.0, pairs=START_PAIRS + 10)]

    assert standings(runs, "1 model") == []


@pytest.mark.parametrize(("pairs", "share"), [(200_000, 20_000), (20_000, 10_000), (2_000, 2_000)])
def test_who_is_slow_is_given_fewer_pairs(pairs: int, share: int) -> None:
    job = Job("any", pairs)

    assert job.pairs_of(FAUST) == share
    assert job.pairs_of(OURS) == pairs
