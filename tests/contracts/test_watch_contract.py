"""What every kind of series promises, and that the compiled statistics are River's own.

A kind of series gets all of these tests by adding its stream to ``STREAMS``.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from river._river_rust.drift import AdaptiveWindowing
from river.drift import ADWIN, PageHinkley

from streams.aspects import SeriesRole
from streams.codec import DamagedSnapshotError, StateVersionError, decode, encode
from streams.detect import level_kernel
from streams.detect.adwin import AWAY_DEVIATIONS, SlowDriftDetector
from streams.detect.adwin_kernel import WINDOW, extended, new_window, read_scores
from streams.detect.level import NumericDetector
from streams.detect.level_kernel import SERIES, STATISTIC
from streams.detect.sample import Sample
from streams.series.detection import Detection
from streams.series.inputs import NonFiniteValueError
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.values import Scalar

ROWS = 6_000
CHANGE_AT = 4_500

Draw = Callable[[np.random.Generator, int], list[Scalar]]


def numbers(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [float(rng.normal(2.5 if row >= CHANGE_AT else 0.0, 1.0))]


def whole_numbers(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [int(rng.poisson(60 if row >= CHANGE_AT else 40))]


def heavy_tails(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [float(rng.standard_cauchy() + (4.0 if row >= CHANGE_AT else 0.0))]


def mostly_zero(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [0.0 if rng.random() < (0.3 if row >= CHANGE_AT else 0.6) else float(rng.exponential())]


def truths(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [bool(rng.random() < (0.5 if row >= CHANGE_AT else 0.1))]


def words(rng: np.random.Generator, row: int) -> list[Scalar]:
    shares = [0.1, 0.2, 0.7] if row >= CHANGE_AT else [0.5, 0.3, 0.2]
    return [str(rng.choice(["north", "south", "west"], p=shares))]


def codes(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [int(rng.integers(0, 4) if row < CHANGE_AT else rng.integers(2, 4))]


def sometimes_missing(rng: np.random.Generator, row: int) -> list[Scalar]:
    is_missing = rng.random() < (0.4 if row >= CHANGE_AT else 0.1)
    return [None if is_missing else float(rng.normal())]


def rubbish(rng: np.random.Generator, row: int) -> list[Scalar]:
    kind = rng.integers(0, 20)
    if kind == 0:
        return ["n/a"]
    if kind == 1:
        return [True]
    return [float(rng.normal(3.0 if row >= CHANGE_AT else 0.0))]


STREAMS: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        numbers,
        whole_numbers,
        heavy_tails,
        mostly_zero,
        truths,
        words,
        codes,
        sometimes_missing,
        rubbish,
    )
}


def stream_of(draw: Draw, seed: int = 3) -> list[Scalar]:
    rng = np.random.default_rng(seed)
    return [value for row in range(ROWS) for value in draw(rng, row)]


@pytest.fixture(scope="module", params=STREAMS, ids=str)
def stream(request: pytest.FixtureRequest) -> list[Scalar]:
    return stream_of(STREAMS[request.param])


def new_watch() -> SeriesWatch:
    watch = SeriesWatch(WatchSpec(role="feature"))
    watch.set_budget(0.01)
    return watch


def read(watch: SeriesWatch, values: Sequence[Scalar], sizes: Sequence[int]) -> list[Detection]:
    """Read values in batches of the given sizes, over and over; indices are of ``values``."""
    changes: list[Detection] = []
    for start, end in cuts(len(values), sizes):
        found = watch.update(values[start:end])
        changes += [replace(change, index=start + change.index) for change in found]
    return changes


def cuts(rows: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield where batches of the given sizes, over and over, begin and end."""
    start = 0
    for size in itertools.cycle(sizes):
        if start >= rows:
            return
        yield start, start + size
        start += size


def test_nothing_is_said_before_the_change(stream: list[Scalar]) -> None:
    assert read(new_watch(), stream[:CHANGE_AT], [500]) == []


def test_a_large_change_is_seen(stream: list[Scalar]) -> None:
    changes = read(new_watch(), stream, [500])

    assert changes
    assert CHANGE_AT <= changes[0].index < CHANGE_AT + 150
    assert changes[0].figures.rows >= 1


def test_a_model_that_is_never_told_its_budget_is_watched(stream: list[Scalar]) -> None:
    assert read(SeriesWatch(WatchSpec(role="feature")), stream, [500])


@settings(max_examples=12)
@given(sizes=st.lists(st.integers(1, 2_000), min_size=1, max_size=6))
def test_batch_edges_change_nothing_to_the_last_bit(stream: list[Scalar], sizes: list[int]) -> None:
    whole, cut = new_watch(), new_watch()

    at_once = read(whole, stream, [len(stream)])
    in_parts = read(cut, stream, sizes)

    assert in_parts == at_once
    assert encode(cut) == encode(whole)


def stuck(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [0.25 if row % 300 < 60 else float(rng.normal())]


def huge(rng: np.random.Generator, row: int) -> list[Scalar]:
    return [2**60 + row if rng.random() < 0.02 else float(rng.normal() * 1e300)]


@settings(max_examples=60)
@given(
    draws=st.lists(
        st.tuples(st.sampled_from([*STREAMS.values(), stuck, huge]), st.integers(1, 900)),
        min_size=1,
        max_size=5,
    ),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    minutes=st.sampled_from([0.01, 1.0, 7.0, 60.0]),
    role=st.sampled_from(["feature", "prediction", "error"]),
)
def test_a_few_values_at_a_time_of_whatever_kind_are_read_as_all_at_once(
    draws: list[tuple[Draw, int]], sizes: list[int], minutes: float, role: SeriesRole
) -> None:
    rng = np.random.default_rng(len(draws))
    kinds = [
        (draw, row) for draw, rows in draws for row in range(CHANGE_AT - 400, CHANGE_AT + rows)
    ]
    values = [value for draw, row in kinds for value in draw(rng, row)]
    at_ms = 1_760_000_000_000 + (60_000 * minutes * np.arange(len(values))).astype(np.int64)
    whole, few = (SeriesWatch(WatchSpec(role=role, reference_rows=400)) for _ in range(2))

    at_once = whole.update(values, at_ms)
    found = [
        replace(change, index=start + change.index)
        for start, end in cuts(len(values), sizes)
        for change in few.update(values[start:end], at_ms[start:end])
    ]

    assert found == at_once
    assert encode(few) == encode(whole)


def test_a_change_brings_the_first_reference_as_it_was_then() -> None:
    rng = np.random.default_rng(1)
    gaps = [0.5 if 600 <= row < 700 else 0.1 for row in range(1_200)]
    values = [None if rng.random() < gap else float(rng.normal()) for gap in gaps]
    whole, single = new_watch(), new_watch()

    at_once, one_by_one = read(whole, values, [1_200]), read(single, values, [1])

    assert [change.aspect for change in at_once] == ["missing"]
    assert one_by_one == at_once
    assert at_once[0].reference != whole.describe()["original"]


def test_one_value_at_a_time_is_the_same(stream: list[Scalar]) -> None:
    whole, single = new_watch(), new_watch()

    assert read(single, stream, [1]) == read(whole, stream, [len(stream)])
    assert encode(single) == encode(whole)


@settings(max_examples=12)
@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=6))
def test_what_is_only_kept_is_as_if_it_had_been_read(
    stream: list[Scalar], sizes: list[int]
) -> None:
    at_ms = 1_760_000_000_000 + 40_000 * np.arange(len(stream))
    whole, lean = new_watch(), new_watch()

    whole.update(stream[:700], at_ms[:700])  # too many at once to be just kept
    for start, end in cuts(700, sizes):
        lean.update(stream[start : min(end, 700)], at_ms[start : min(end, 700)])

    assert encode(lean) == encode(whole)


@settings(max_examples=12)
@given(restart_at=st.integers(0, ROWS))
def test_a_restart_in_the_middle_changes_nothing(stream: list[Scalar], restart_at: int) -> None:
    unbroken, first = new_watch(), new_watch()
    expected = read(unbroken, stream, [500])

    before = read(first, stream[:restart_at], [300])
    second = decode(encode(first), SeriesWatch)
    after = read(second, stream[restart_at:], [300])

    shifted = [replace(change, index=restart_at + change.index) for change in after]
    assert before + shifted == expected
    assert encode(second) == encode(unbroken)
    assert second.describe() == unbroken.describe()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("seen", [100, 2_500])
def test_what_is_not_finite_is_refused_and_leaves_no_mark(
    stream: list[Scalar], value: Scalar, place: int, seen: int
) -> None:
    watch = new_watch()
    watch.update(stream[:seen])
    before = encode(watch)
    batch = stream[seen : seen + 2]
    batch.insert(place, value)

    with pytest.raises(NonFiniteValueError):
        watch.update(batch)

    assert encode(watch) == before


@pytest.mark.parametrize("value", [0.0, 7, True, False, "north", None])
def test_a_constant_stream_is_quiet(value: Scalar) -> None:
    assert read(new_watch(), [value] * 12_000, [500]) == []


def test_no_batch_is_too_small(stream: list[Scalar]) -> None:
    watch = new_watch()

    assert watch.update([]) == []
    assert watch.seen == 0


def test_any_damage_to_a_snapshot_is_noticed(stream: list[Scalar]) -> None:
    watch = new_watch()
    watch.update(stream[:2_500])
    data = encode(watch)

    for at in range(0, len(data), 97):
        damaged = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        with pytest.raises((DamagedSnapshotError, StateVersionError)):
            decode(damaged, SeriesWatch)
    for length in (0, 3, 15, len(data) - 1):
        with pytest.raises((DamagedSnapshotError, StateVersionError)):
            decode(data[:length], SeriesWatch)


# River's PageHinkley in one place: it is what the kernel must be, at a tenth of the time a value.
def plain_page_hinkleys(detector: NumericDetector, rows: int) -> list[PageHinkley]:
    state = detector._state
    modes = ("up", "down", "up", "down", "up", "down")
    return [
        PageHinkley(
            min_instances=rows + 1,
            delta=float(state[at + STATISTIC.delta]),
            threshold=float(state[at + STATISTIC.threshold]),
            alpha=1,
            mode=mode,
        )
        for mode, at in zip(
            modes,
            range(level_kernel.FIRST, level_kernel.HEAD, len(STATISTIC)),
            strict=True,
        )
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_kernel_alarms_in_the_rows_of_rivers_page_hinkley(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.choice([300, 1_000, 2_000]))
    learnt = rng.normal(size=rows)
    later = rng.normal(rng.choice([0.0, 0.3, -0.5]), rng.choice([0.6, 1.0, 1.6]), 3_000)
    sample = Sample.of(learnt)
    detector = NumericDetector.learn(sample, 50.0)
    plain = plain_page_hinkleys(detector, rows)
    innovations = scores_of(detector, np.concatenate((learnt, later)))

    alarm = level_kernel.run_page_hinkley(
        detector._state, detector._trail, later, np.empty_like(later)
    )

    assert (None if alarm < 0 else alarm // level_kernel.STATISTICS) == first_alarm(
        plain, innovations, rows
    )


def scores_of(detector: NumericDetector, values: np.ndarray) -> np.ndarray:
    """Return what the detector's statistics are fed with, from the first row of the reference."""
    state = detector._state.copy()
    state[SERIES.previous] = 0.0
    state[SERIES.learnt_rows] = math.inf
    state[SERIES.adwin_scale] = 1.0
    innovations = np.empty_like(values)
    level_kernel.run_page_hinkley(state, detector._trail.copy(), values, innovations)
    return innovations


def first_alarm(plain: list[PageHinkley], innovations: np.ndarray, rows: int) -> int | None:
    for row, e in enumerate(innovations.tolist()):
        for k, page_hinkley in enumerate(plain):
            page_hinkley.update(e * e if k >= level_kernel.SPREAD_UP else e)
        if any(page_hinkley.drift_detected for page_hinkley in plain):
            return row - rows
    return None


@pytest.mark.parametrize("size", [1, 7, 500])
@pytest.mark.parametrize("seed", range(10))
def test_the_slow_drift_detector_cuts_in_the_rows_of_rivers_adwin(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.choice([0.0, 0.0, 0.2, -0.6, 1.5], 12), 400)
    scores = rng.normal(levels, 1.0)
    slow_drift = SlowDriftDetector.of(0.05, 8, 2_000)

    rows: list[int] = []
    at = 0
    while at < len(scores):
        drift = slow_drift.run(scores[at : at + size])
        rows += [] if drift is None else [at + drift.place]
        at += size if drift is None else drift.place + 1

    assert rows == rows_of_rivers_adwin(scores, 2_000)


@pytest.mark.parametrize("clock", [1, 8, 32])
@pytest.mark.parametrize("seed", range(4))
def test_a_window_is_rivers_to_the_last_bit(seed: int, clock: int) -> None:
    rng = np.random.default_rng(seed)
    delta = float(10.0 ** rng.uniform(-9, -1))
    levels = np.repeat(rng.choice([0.0, 0.1, -0.5, 2.0], 12), rng.integers(1, 500, 12))
    scores = rng.normal(levels, rng.choice([1e-6, 1.0, 1e6]))
    rivers = AdaptiveWindowing(delta, clock, max_buckets=5, min_window_length=5, grace_period=10)
    window = extended(new_window(), len(scores))
    for row in range(len(scores)):
        cut = read_scores(window, scores[row : row + 1], delta, clock)

        assert (cut == 0) == rivers.update(float(scores[row]))
        assert window[WINDOW.width] == rivers.get_width()
        assert window[WINDOW.total] == rivers.get_total()
        assert window[WINDOW.variance] == rivers.get_variance()
        if cut == 0:
            window = extended(new_window(), len(scores))
            rivers = AdaptiveWindowing(
                delta, clock, max_buckets=5, min_window_length=5, grace_period=10
            )


def rows_of_rivers_adwin(scores: np.ndarray, learnt: int) -> list[int]:
    adwin = ADWIN(delta=0.05, clock=8)
    rows = []
    for row, score in enumerate(scores.tolist()):
        adwin.update(score)
        deviation = math.sqrt(1 / adwin.width + 1 / learnt)
        if adwin.drift_detected and abs(adwin.estimation) > AWAY_DEVIATIONS * deviation:
            rows.append(row)
    return rows
