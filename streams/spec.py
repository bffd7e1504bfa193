"""The spec in force of one model. Specs come through the log.

Rule 1. The spec that a model begins with is version 0. Each spec in the log has the next number,
        and is in force from its place in the log on.
Rule 2. A removal restores version 0. The numbers continue, so that no number names two specs.
Rule 3. Ingest has checked the specs in the log: one that cannot be read stops the worker.
"""

from typing import Any

import orjson

from schemas.event import EventRecordError
from schemas.model_spec import ModelSpec, SpecError, parse_spec


class SpecInForce:
    """The spec of one model.

    Parameters
    ----------
    first
        The spec that the model begins with.

    Attributes
    ----------
    spec, version
        The spec in force, and its number; 0 is ``first``.
    records
        Number of specs and removals of the log so far.

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

    def __init__(self, first: ModelSpec) -> None:
        self.spec = first
        self.version = 0
        self.records = 0
        self._first = first
        self._taken = 0
        self._given: bytes | None = None

    def take(self, given: dict[str, Any] | None) -> None:
        """Put a spec of the log in force; None is a removal.

        Raises
        ------
        EventRecordError
            When it is not a valid spec.
        """
        self.records += 1
        if given is None:
            self.spec, self.version, self._given = self._first, 0, None
            return
        try:
            self.spec = parse_spec(given)
        except SpecError as error:
            msg = f"events holds a spec that this worker cannot read: {error}"
            raise EventRecordError(msg) from error
        self._taken += 1
        self.version = self._taken
        self._given = orjson.dumps(given)

    def snapshot(self) -> dict[str, Any] | None:
        """Return the state; None while the log has no spec of the model."""
        if not self.records:
            return None
        return {"records": self.records, "taken": self._taken, "given": self._given}

    @classmethod
    def restore(cls, first: ModelSpec, state: dict[str, Any] | None) -> "SpecInForce":
        """Return the spec that `snapshot` was taken of.

        Raises
        ------
        SpecError
            When this version cannot read it.
        """
        in_force = cls(first)
        if state is None:
            return in_force
        in_force.records = state["records"]
        in_force._taken = state["taken"]
        given: bytes | None = state["given"]
        if given is not None:
            in_force.spec = parse_spec(orjson.loads(given))
            in_force.version = in_force._taken
            in_force._given = given
        return in_force
