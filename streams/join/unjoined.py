"""Why outcomes do not find their predictions, where hardly any does.

Rule 1. It is judged after every ``WINDOW`` predictions and as many outcomes, repetitions left out:
        fewer than one pair in ``ONE_IN`` is told.
Rule 2. It is told where the reason is known: ids of another form, outcomes after the longest wait,
        a model that has no predictions after a day. Without a reason only once the model is older
        than the wait: before, outcomes may be those of predictions from before the beginning.
Rule 3. Of predictions that nobody waits for any more a sample is kept: those whose ids have a hash
        with as many zeros as it takes for ``SAMPLE`` of them.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple
from zlib import crc32

from msgspec import field

from streams.codec import Machine

WINDOW = 200
"""Predictions, and outcomes: as many as the first reference of a series is made from."""
ONE_IN = 100
"""Events for each pair, from which hardly any is a pair. By judgement."""
ALONE_MS = 86_400_000
"""Milliseconds, a day, that a model may have outcomes and no predictions: the producer of outcomes
may have begun first."""
SAMPLE = 64
"""Ids: a kilobyte of state, whatever the model has seen."""
FEWEST_LATE = 3
"""Outcomes of the sample that came late: one may be a repair by hand."""
LATEST_IDS = 32
"""Ids of each side whose forms are compared."""
FEWEST_IDS = 8
"""Ids of each side that show a form."""
MAX_CHARACTERS = 12
"""Characters of a form in a sentence."""
Reason = Literal["late", "form", "model", "unknown"]


IdsOf = Callable[[int], tuple[list[str], list[str]]]
"""Gives, at most so many, the latest ids of predictions and of outcomes that wait."""


class Taken(NamedTuple):
    """Events of a model so far, repetitions left out."""

    predictions: int = 0
    outcomes: int = 0
    pairs: int = 0

    def since(self, before: "Taken") -> "Taken":
        """Return the events after others."""
        return Taken(*(now - then for now, then in zip(self, before, strict=True)))


class Disjoint(NamedTuple):
    """Outcomes that do not find their predictions.

    Parameters
    ----------
    share, rows
        The part of the latest outcomes that did.
    reason
        Why not.
    forms
        The forms of ids of predictions and of outcomes, where that is the reason.
    late_ms
        How long after their predictions outcomes came, where that is the reason.
    """

    share: float
    rows: int
    reason: Reason
    forms: tuple[str, str] = ("", "")
    late_ms: int = 0


class Unjoined(Machine):
    """Watches how many outcomes of one model find their predictions.

    Attributes
    ----------
    is_on
        Whether it is told that they do not.
    taken
        Events before the present window.
    """

    is_on: bool = False
    taken: Taken = Taken()
    _late: int = 0
    _late_ms: int = 0
    _zeros: int = 0
    _expired: dict[int, int] = field(default_factory=dict)
    """Hashes of the sample, each with the instant at which its prediction arrived (Rule 3)."""

    def on_expired(self, prediction_id: str, at_ms: int) -> None:
        """Take in that nobody waits for the outcome of a prediction any more."""
        number = crc32(prediction_id.encode())
        if number & ((1 << self._zeros) - 1):
            return
        self._expired[number] = at_ms
        while len(self._expired) > SAMPLE:
            self._zeros += 1
            mask = (1 << self._zeros) - 1
            self._expired = {each: at for each, at in self._expired.items() if not each & mask}

    def on_unmatched(self, prediction_id: str, now_ms: int) -> None:
        """Take in an outcome whose prediction does not wait."""
        if self._expired and (at_ms := self._expired.get(crc32(prediction_id.encode()))):
            self._late += 1
            self._late_ms = max(self._late_ms, now_ms - at_ms)

    def judge(self, taken: Taken, ids_of: IdsOf, age_ms: int, wait_ms: int) -> Disjoint | None:
        """Return the figures where it begins to be told with this outcome, or is over.

        `is_on` has changed then.

        Parameters
        ----------
        age_ms
            Milliseconds since the first event of the model.
        wait_ms
            Milliseconds that events wait.
        """
        window = taken.since(self.taken)
        is_short = window.predictions < WINDOW and taken.predictions > 0
        if window.outcomes < WINDOW or is_short:
            return None
        found = self.reason(window, taken.predictions, ids_of)
        self.taken = taken
        if found is None:
            self._late = self._late_ms = 0
        was_on = self.is_on
        least_ms = {"model": ALONE_MS, "unknown": wait_ms}
        self.is_on = found is not None and (was_on or age_ms >= least_ms.get(found.reason, 0))
        if self.is_on == was_on:
            return None
        return found or Disjoint(window.pairs / window.outcomes, window.outcomes, "unknown")

    def reason(self, window: Taken, predictions: int, ids_of: IdsOf) -> Disjoint | None:
        """Return why hardly any outcome finds its prediction; None where some do.

        Parameters
        ----------
        window
            The events that are judged.
        predictions
            Predictions of the model so far.
        """
        share = window.pairs / max(window.outcomes, 1)
        if not predictions and window.outcomes:
            return Disjoint(share, window.outcomes, "model")
        if ONE_IN * window.pairs >= min(window.predictions, window.outcomes):
            return None
        if self._late >= FEWEST_LATE:
            return Disjoint(share, window.outcomes, "late", late_ms=self._late_ms)
        forms = _forms_apart(*ids_of(LATEST_IDS))
        if forms is not None:
            return Disjoint(share, window.outcomes, "form", forms)
        return Disjoint(share, window.outcomes, "unknown")


def _forms_apart(predictions: list[str], outcomes: list[str]) -> tuple[str, str] | None:
    """Return the form of the ids of each side where no id of one is like any of the other."""
    if min(len(predictions), len(outcomes)) < FEWEST_IDS:
        return None
    kinds = [{_characters(each) for each in ids} for ids in (predictions, outcomes)]
    starts = [_start(ids) for ids in (predictions, outcomes)]
    lengths = [{len(each) for each in ids} for ids in (predictions, outcomes)]
    have_other_starts = not (starts[0].startswith(starts[1]) or starts[1].startswith(starts[0]))
    have_other_lengths = len(lengths[0]) == len(lengths[1]) == 1 and lengths[0] != lengths[1]
    if not (kinds[0].isdisjoint(kinds[1]) or have_other_starts or have_other_lengths):
        return None
    return form_of(predictions[0]), form_of(outcomes[0])


def _characters(text: str) -> frozenset[str]:
    """Return the kinds of characters of an id: digits, small and capital letters, others each."""
    return frozenset(map(_kind, text))


def _kind(character: str) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character


def _start(ids: list[str]) -> str:
    """Return the characters, up to the first digit, that all ids begin with."""
    first, last = min(ids), max(ids)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        if first[shared].isdigit():
            break
        shared += 1
    return first[:shared]


def form_of(text: str) -> str:
    """Return the form of an id, for a sentence: its kinds of characters in their order.

    Examples
    --------
    >>> form_of("order-0017"), form_of("3f2a-99"), form_of("4711")
    ('aaaaa-9999', '9a9a-99', '9999')
    """
    form = "".join(each if each.isprintable() else "?" for each in map(_kind, text))
    return form if len(form) <= MAX_CHARACTERS else f"{form[: MAX_CHARACTERS - 1]}…"
