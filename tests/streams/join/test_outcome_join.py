import math
from collections import Counter
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.codec import decode, encode
from streams.join.events import (
    ChunkName,
    EarlyOutcome,
    JoinCounts,
    JoinSpec,
    JoinState,
    WaitingPrediction,
)
from streams.join.joined_ids import CHUNK_IDS
from streams.join.outcome_join import OutcomeJoin
from streams.join.waiting_room import CHUNK_SLOTS
from streams.values import Answer

WAIT_S = 10.0
WAIT_MS = 10_000

Pair = tuple[WaitingPrediction, EarlyOutcome]


def join(max_waiting: int = 100, remembered: int = 100) -> OutcomeJoin:
    return OutcomeJoin(JoinSpec(wait_s=WAIT_S, max_waiting=max_waiting, remembered=remembered))


def predict(
    machine: OutcomeJoin, prediction_id: str, now_ms: int = 0, answer: Answer = "yes"
) -> Pair | None:
    machine.advance(now_ms)
    if machine.is_known(prediction_id):
        return None
    waiting = WaitingPrediction(prediction_id.encode(), answer, now_ms)
    outcome = machine.on_prediction(prediction_id, waiting, now_ms)
    return None if outcome is None else (waiting, outcome)


def observe(
    machine: OutcomeJoin, prediction_id: str, now_ms: int = 0, answer: Answer = "yes"
) -> Pair | None:
    machine.advance(now_ms)
    early = EarlyOutcome(prediction_id.encode(), answer, now_ms)
    prediction = machine.on_outcome(prediction_id, early, now_ms)
    return None if prediction is None else (prediction, early)


def left_waiting(machine: OutcomeJoin) -> int:
    """Let time end; return how many outcomes waited until then."""
    before = machine.counts.orphan_outcomes
    machine.advance(10**15)
    return machine.counts.orphan_outcomes - before


def test_a_prediction_meets_its_outcome() -> None:
    machine = join()
    assert predict(machine, "p", 1) is None

    pair = observe(machine, "p", 2, "no")

    assert pair == (WaitingPrediction(b"p", "yes", 1), EarlyOutcome(b"p", "no", 2))


def test_an_outcome_that_comes_first_meets_its_prediction() -> None:
    machine = join()
    assert observe(machine, "p", 1, "no") is None

    pair = predict(machine, "p", 2)

    assert pair == (WaitingPrediction(b"p", "yes", 2), EarlyOutcome(b"p", "no", 1))


# Rule 1


def test_time_passes_only_when_the_log_says_so() -> None:
    machine = join()
    predict(machine, "p", 0)

    for _ in range(1_000):
        machine.advance(WAIT_MS)

    assert machine.waiting_predictions == 1


def test_the_instants_of_a_producer_do_not_move_time() -> None:
    machine = join()
    far_future = WaitingPrediction(b"a", "yes", 10**15)
    machine.on_prediction("a", far_future, 0)
    machine.advance(WAIT_MS)

    assert observe(machine, "a", WAIT_MS) is not None


# Rule 2


def test_a_prediction_waits_as_long_as_asked_and_no_longer() -> None:
    machine = join()
    predict(machine, "in time", 0)
    predict(machine, "too late", 0)

    assert observe(machine, "in time", WAIT_MS) is not None
    assert observe(machine, "too late", WAIT_MS + 1) is None
    assert machine.counts.expired_predictions == 1


def test_when_too_many_wait_the_first_in_is_out() -> None:
    machine = join(max_waiting=2)
    for prediction_id in ("a", "b", "c"):
        predict(machine, prediction_id)

    assert machine.counts.pushed_out_predictions == 1
    assert observe(machine, "a") is None
    assert observe(machine, "b") is not None
    assert observe(machine, "c") is not None


def test_when_too_many_outcomes_wait_the_first_in_is_out() -> None:
    machine = join(max_waiting=2)
    for prediction_id in ("a", "b", "c"):
        observe(machine, prediction_id)

    assert machine.counts.pushed_out_outcomes == 1
    assert predict(machine, "a") is None
    assert predict(machine, "c") is not None


def test_one_half_of_a_pair_leaves_when_the_other_comes() -> None:
    machine = join()
    predict(machine, "p")
    observe(machine, "p")

    assert machine.waiting_predictions == left_waiting(machine) == 0


# Rule 3


@pytest.mark.parametrize("is_joined", [False, True])
def test_another_prediction_of_an_id_is_a_duplicate(is_joined: bool) -> None:
    machine = join()
    predict(machine, "p", 0, "first")
    if is_joined:
        observe(machine, "p", 1)

    assert predict(machine, "p", 2, "second") is None
    assert machine.counts.duplicate_predictions == 1
    assert machine.counts.predictions == 1


def test_the_first_prediction_of_an_id_counts() -> None:
    machine = join()
    predict(machine, "p", 0, "first")
    predict(machine, "p", 1, "second")

    pair = observe(machine, "p", 2)

    assert pair is not None
    assert pair[0].prediction == "first"


# Rule 4


@pytest.mark.parametrize("is_early", [False, True])
def test_the_same_outcome_again_is_a_duplicate(is_early: bool) -> None:
    machine = join()
    if not is_early:
        predict(machine, "p")
    observe(machine, "p", 0, 1)

    assert observe(machine, "p", 1, 1) is None
    assert (machine.counts.duplicate_outcomes, machine.counts.conflicting_outcomes) == (1, 0)


@pytest.mark.parametrize("is_early", [False, True])
def test_another_outcome_of_an_id_is_a_conflict(is_early: bool) -> None:
    machine = join()
    if not is_early:
        predict(machine, "p")
    observe(machine, "p", 0, 1)

    assert observe(machine, "p", 1, 0) is None
    assert (machine.counts.duplicate_outcomes, machine.counts.conflicting_outcomes) == (0, 1)


def test_the_first_of_two_early_outcomes_counts() -> None:
    machine = join()
    observe(machine, "p", 0, "first")
    observe(machine, "p", 1, "second")

    pair = predict(machine, "p", 2)

    assert pair is not None
    assert pair[1].outcome == "first"


@pytest.mark.parametrize("falsy", [False, 0, 0.0, ""])
def test_an_outcome_that_python_takes_for_false_is_an_outcome(falsy: Answer) -> None:
    machine = join()
    predict(machine, "p")
    observe(machine, "p", 0, falsy)

    observe(machine, "p", 1, falsy)

    assert machine.counts.duplicate_outcomes == 1
    assert left_waiting(machine) == 0


def test_an_outcome_that_is_corrected_before_its_prediction_waits_from_then_on() -> None:
    machine = OutcomeJoin(
        JoinSpec(wait_s=WAIT_S, max_waiting=2 * CHUNK_SLOTS, takes_corrections=True)
    )
    observe(machine, "p", 0, "no")
    for number in range(CHUNK_SLOTS):  # the first one is sealed
        observe(machine, f"q{number}", 1)
    observe(machine, "p", 5_000, "yes")
    machine.advance(WAIT_MS + 4_000)

    pair = predict(machine, "p", WAIT_MS + 4_000)

    assert pair is not None
    assert pair[1].outcome == "yes"
    assert machine.counts.orphan_outcomes == CHUNK_SLOTS
    assert machine.counts.corrected_outcomes == 1


# Rule 5


def test_an_outcome_whose_prediction_never_comes_is_an_orphan() -> None:
    machine = join()
    observe(machine, "p", 0)

    machine.advance(WAIT_MS + 1)

    assert machine.counts.orphan_outcomes == 1
    assert left_waiting(machine) == 0


# Rule 6


def test_the_counts_of_models_add_up() -> None:
    total = JoinCounts(predictions=1)

    total.add(JoinCounts(predictions=2, orphan_outcomes=3))

    assert (total.predictions, total.orphan_outcomes) == (3, 3)


# Rule 7


def test_only_the_last_joined_ids_are_known() -> None:
    machine = join(remembered=2)
    for number in range(2 * CHUNK_IDS):
        predict(machine, str(number))
        observe(machine, str(number))

    assert not machine.is_known("0")
    assert machine.is_known(str(2 * CHUNK_IDS - 2))
    assert machine.is_known(str(2 * CHUNK_IDS - 1))


@pytest.mark.parametrize("wait_s", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_wait_is_refused(wait_s: float) -> None:
    with pytest.raises(ValueError, match="wait_s must be a positive number"):
        JoinSpec(wait_s=wait_s, max_waiting=1)


def test_no_room_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="max_waiting must be at least 1"):
        JoinSpec(wait_s=1, max_waiting=0)


# Properties: an event is (is_prediction, id), and comes some time after the one before

Event = tuple[bool, int]
events = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=50)


def play(
    machine: OutcomeJoin, history: list[Event], steps_ms: list[int] | None = None
) -> list[str]:
    joined = []
    now_ms = 0
    for place, (is_prediction, number) in enumerate(history):
        now_ms += steps_ms[place] if steps_ms else 0
        name = str(number)
        pair = predict(machine, name, now_ms) if is_prediction else observe(machine, name, now_ms)
        if pair is not None:
            assert pair[0].payload == pair[1].payload == name.encode()
            joined.append(name)
    return joined


@given(events)
def test_every_pair_is_joined_exactly_once_whatever_the_interleaving(history: list[Event]) -> None:
    joined = play(join(), history)

    predicted = {str(number) for is_prediction, number in history if is_prediction}
    observed = {str(number) for is_prediction, number in history if not is_prediction}
    assert Counter(joined) == Counter(predicted & observed)


@given(events, st.randoms(use_true_random=False))
def test_the_order_does_not_matter_for_the_set_of_pairs(
    history: list[Event], random: Random
) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)

    assert sorted(play(join(), history)) == sorted(play(join(), shuffled))


@given(
    events.flatmap(
        lambda history: st.tuples(
            st.just(history),
            st.lists(
                st.sampled_from([0, 1, WAIT_MS // 3, WAIT_MS, WAIT_MS + 1]),
                min_size=len(history),
                max_size=len(history),
            ),
        )
    ),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_everything_taken_in_is_accounted_for_and_bounded(
    history_and_steps: tuple[list[Event], list[int]], max_waiting: int, remembered: int
) -> None:
    history, steps_ms = history_and_steps
    machine = join(max_waiting, remembered)

    joined = play(machine, history, steps_ms)

    counts = replace(machine.counts)
    waiting_predictions = machine.waiting_predictions
    waiting_outcomes = left_waiting(machine)
    assert waiting_predictions <= max_waiting
    assert waiting_outcomes <= max_waiting
    assert counts.pairs == len(joined)
    assert counts.predictions == (
        counts.pairs
        + waiting_predictions
        + counts.expired_predictions
        + counts.pushed_out_predictions
    )
    assert counts.outcomes == (
        counts.pairs
        + waiting_outcomes
        + counts.duplicate_outcomes
        + counts.conflicting_outcomes
        + counts.orphan_outcomes
        + counts.pushed_out_outcomes
    )
    assert counts.predictions + counts.duplicate_predictions == sum(p for p, _ in history)
    assert counts.outcomes == sum(not p for p, _ in history)


@given(events)
def test_the_same_history_gives_the_same_counts(history: list[Event]) -> None:
    first, second = join(), join()

    assert play(first, history) == play(second, history)
    assert first.counts == second.counts


def restarted(machine: OutcomeJoin, stored: dict[ChunkName, bytes]) -> OutcomeJoin:
    """Store what is new, as a worker does, and restore the join from what is stored."""
    stored |= machine.unstored()
    machine.on_stored(stored)
    kept = decode(encode(machine.snapshot()), JoinState)
    return OutcomeJoin.restore(machine.spec, kept, stored.__getitem__)


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_at_any_event_changes_nothing(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - a simulation, not a secret
    steady, interrupted = join(300, 100), join(300, 100)
    stored: dict[ChunkName, bytes] = {}

    for place in range(3_000):
        if rng.random() < 0.02:
            interrupted = restarted(interrupted, stored)
        now_ms, key, answer = 10 * place, str(rng.randrange(1_500)), rng.random() < 0.5
        for each in (steady, interrupted):
            each.advance(now_ms)
        if rng.random() < 0.5:
            line = orjson.dumps({"prediction_id": key, "outcome": answer, "observed_at": 7})
            early = EarlyOutcome(line, answer, 7)
            predictions = [each.on_outcome(key, early, now_ms) for each in (steady, interrupted)]
            assert predictions[0] == predictions[1]
        else:
            line = orjson.dumps({"prediction_id": key, "prediction": answer, "predicted_at": 8})
            waiting = WaitingPrediction(line, answer, 8)
            are_known = [each.is_known(key) for each in (steady, interrupted)]
            assert are_known[0] == are_known[1]
            if are_known[0]:
                continue
            outcomes = [each.on_prediction(key, waiting, now_ms) for each in (steady, interrupted)]
            assert outcomes[0] == outcomes[1]

    assert encode(interrupted.snapshot()) == encode(steady.snapshot())
    assert steady.counts.pairs > 128
    assert steady.counts.expired_predictions
    assert steady.counts.orphan_outcomes
    assert steady.counts.conflicting_outcomes
