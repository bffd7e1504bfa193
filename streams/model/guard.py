"""A model with a guard: the event at which it fails is found, and it is quarantined there.

The guard keeps a copy of the model now and then, and the steps since. After a failure it applies
them to the copy one by one.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from streams.codec import failure_of
from streams.emission import Arrival, Emission, Place
from streams.model.model import ModelMonitor
from streams.model.quarantine import Quarantine

KEPT_STEPS = 2_000
"""Events after which a guarded model is kept anew. A snapshot takes as long as some ten events."""
MAX_KIND = 32
"""Characters of the name of a failure's type, for the sentence of the alert."""


class EveryModel:
    """Contains every model's id."""

    def __contains__(self, _model_id: object) -> bool:
        """Tell that it does."""
        return True


class Tick(NamedTuple):
    """A tick that has a consequence: `ModelMonitor.on_tick`."""

    at: Place
    tick_ms: int
    forget_ms: int


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
        self._is_stored = False  # whether a step fails after which the state cannot be stored

    def take(self, steps: Sequence[Step]) -> list[Emission]:
        """Apply steps and read their values; return the emissions, none of which is repeated."""
        given = len(self._since)
        self._since += steps
        emissions: list[Emission] = []
        if failure_of(lambda: emissions.extend(_apply(self.model, steps))) is not None:
            emissions = self._retrace(given)
        if len(self._since) >= KEPT_STEPS:
            emissions += self.settle()
        return emissions

    def settle(self) -> list[Emission]:
        """Keep the model as it is now; where its state cannot be stored, quarantine it.

        It is quarantined as of the event after which its state could no longer be stored. The
        emissions of later ones have left: a release gives the same again.
        """
        if failure_of(lambda: self._keep([])) is None:
            return []
        self._is_stored = True
        told = self._retrace(len(self._since))
        self._is_stored = False
        return told

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
        at, at_ms = step[:2] if isinstance(step, Tick) else (step, step.logged_at)
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
            apply = partial(_extend, of_step, model, step, is_stored=self._is_stored)
            failure = failure_of(apply)
            if failure is not None:
                return emissions, place, failure
            if place >= given:
                emissions += of_step
        return emissions, until, None


def _extend(emissions: list[Emission], model: ModelMonitor, step: Step, *, is_stored: bool) -> None:
    emissions += _apply(model, [step])
    if is_stored:
        model.to_store()


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
