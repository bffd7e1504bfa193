"""The spec in force of one model. Specs come through the log.

Rule 1. The spec that a model begins with is version 0. Each spec in the log has the next number,
        and is in force from its place in the log on.
Rule 2. A removal restores version 0. The numbers continue, so that no number names two specs.
Rule 3. A spec in the log that cannot be used has no number, and is never in force.
"""

from typing import Any

import orjson

from schemas.model_spec import ModelSpec, parse_spec
from streams.codec import Machine


class SpecState(Machine):
    """The stored state of a `SpecInForce`.

    Parameters
    ----------
    records
        Specs and removals of the log.
    taken
        Specs of the log.
    given
        The spec of the log that is in force, as JSON; None while it is the first one.
    """

    records: int = 0
    taken: int = 0
    given: bytes | None = None


class SpecInForce:
    """The spec of one model.

    Parameters
    ----------
    first
        The spec that the model is met with.
    state
        The stored state; a new one when None.

    Attributes
    ----------
    first, spec
        The spec that the model is met with, and the one in force.

    Raises
    ------
    SpecError
        When the stored spec cannot be read by this version.

    Examples
    --------
    >>> in_force = SpecInForce(ModelSpec())
    >>> in_force.take({"alert_budget": 1.0})
    >>> in_force.spec.alert_budget, in_force.version
    (1.0, 1)
    >>> in_force.take(None)
    >>> in_force.spec.alert_budget, in_force.version
    (0.2, 0)
    """

    def __init__(self, first: ModelSpec, state: SpecState | None = None) -> None:
        self.state = state or SpecState()
        self.first = first
        given = self.state.given
        self.spec = first if given is None else parse_spec(orjson.loads(given))

    @property
    def version(self) -> int:
        """The number of the spec in force; 0 is the first one."""
        return 0 if self.state.given is None else self.state.taken

    @property
    def records(self) -> int:
        """Specs and removals of the log, taken in."""
        return self.state.records

    def take(self, given: dict[str, Any] | None) -> None:
        """Put a spec of the log in force; None puts the first one back.

        Raises
        ------
        SpecError
            When it is no spec.
        """
        state = self.state
        if given is None:
            self.spec, state.given = self.first, None
        else:
            self.spec = parse_spec(given)
            state.taken += 1
            state.given = orjson.dumps(given)
        state.records += 1
