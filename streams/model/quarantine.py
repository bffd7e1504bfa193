"""The quarantine of a model whose state machine failed at an event, and the search for that event.

Rule 1. A model fails at one event: the first that raises when it is applied by itself, and its
        values are read, to the state before it. How many events are applied or read at once does
        not move it.
Rule 2. From there on the model stays as it was before that event. This event and the later ones
        are held (`OutcomeJoin.hold`), and counted. Ticks and refused inputs are not held.
Rule 3. A release applies the held events, in their order, to that state. Where one fails again, the
        release has changed nothing.
Rule 4. An event that the quarantined model itself cannot take, a removal for example, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from streams.codec import Machine, failure_of
from streams.emission import Arrival, Emission, Place
from streams.join.outcome_join import KeptChunks

if TYPE_CHECKING:
    from streams.model.model import ModelMonitor

KEPT_STEPS = 2_000
"""Events after which a guarded model is kept anew. A snapshot takes as long as some ten events."""

MAX_KIND = 32
"""Characters of the name of a failure's type, for the sentence of the alert."""


class Quarantine(Machine):
    """The place of the event at which a model failed, and the name of the failure's type."""

    offset: int
    place: int
    failure: str


class EveryModel:
    """Contains every model's id."""

    def __contains__(self, _model_id: object) -> bool:
        """Tell that it does."""
        return True


class Tick(NamedTuple):
    """A tick that has a consequence."""

    at: Place
    tick_ms: int


class Kept(NamedTuple):
    """A model as it was, for a copy of it in the same process."""

    snapshot: bytes
    chunks: KeptChunks


Step = Arrival | Tick


class Guard:
    """A model that is quarantined where it fails; it is kept now and then, with the steps since.

    Parameters
    ----------
    model
        The model; no value of it waits.

    Attributes
    ----------
    model
        The model as it is now: after a failure, another object.
    """

    def __init__(self, model: ModelMonitor) -> None:
        self.model = model
        self._kept = model.kept()
        self._since: list[Step] = []

    def take(self, steps: Sequence[Step]) -> list[Emission]:
        """Apply steps and read their values; return the emissions, none of which is repeated."""
        given = len(self._since)
        self._since += steps
        emissions: list[Emission] = []
        if failure_of(lambda: emissions.extend(_apply(self.model, steps))) is not None:
            emissions = self._retrace(given)
        if len(self._since) >= KEPT_STEPS:
            self._keep([])
        return emissions

    def _keep(self, since: list[Step]) -> None:
        self._kept = self.model.kept()
        self._since = since

    def _retrace(self, given: int) -> list[Emission]:
        """Apply the steps again one by one; return the emissions of those from ``given`` on."""
        emissions: list[Emission] = []
        while True:
            found, place, failure = self._replay(len(self._since), given)
            if failure is None:
                return emissions + found
            found, _, _ = self._replay(place, given)
            step = self._since[place]
            was_quarantined = self.model.is_quarantined
            emissions += found + self._fail(place, failure)
            is_held = isinstance(step, Arrival) and not was_quarantined
            self._keep(self._since[place if is_held else place + 1 :])
            given = 0

    def _fail(self, place: int, failure: str) -> list[Emission]:
        """Quarantine the model as of the step before, or have it refuse the step (Rule 4)."""
        step, model = self._since[place], self.model
        if model.is_quarantined:
            if isinstance(step, Arrival):
                model.refuse(step)
            return []
        at, at_ms = step if isinstance(step, Tick) else (step, step.logged_at)
        kind = failure.partition(":")[0][:MAX_KIND]  # its message may hold values
        quarantine = Quarantine(at.offset, at.place, kind)
        told: list[Emission] = []
        tell = partial(model.tell_quarantine, quarantine, at, at_ms, is_on=True)
        if failure_of(lambda: told.extend(tell())) is not None:
            told = []
            self._replay(place, place)  # publishing the alert has failed too
        self.model.quarantine(quarantine)
        return told

    def _replay(self, until: int, given: int) -> tuple[list[Emission], int, str | None]:
        """Apply the first steps to the model as it was kept, one by one.

        Returns
        -------
        emissions, place, failure
            The emissions of the steps from ``given`` on; the step that failed, if one did, and how.
        """
        self.model = model = self.model.revived(self._kept)
        emissions: list[Emission] = []
        for place, step in enumerate(self._since[:until]):
            of_step: list[Emission] = []
            apply = partial(_extend, of_step, model, step)
            failure = failure_of(apply)
            if failure is not None:
                return emissions, place, failure
            if place >= given:
                emissions += of_step
        return emissions, until, None


def _extend(emissions: list[Emission], model: ModelMonitor, step: Step) -> None:
    emissions += _apply(model, [step])


def _apply(model: ModelMonitor, steps: Sequence[Step]) -> list[Emission]:
    emissions: list[Emission] = []
    arrivals: list[Arrival] = []
    for step in steps:
        if isinstance(step, Tick):
            emissions += model.ingest(arrivals) + model.on_tick(*step)
            arrivals = []
        else:
            arrivals.append(step)
    return emissions + model.ingest(arrivals) + model.evaluate()
