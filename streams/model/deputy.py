"""The fallback of one model: its events and alerts go in, a lease comes out.

It hears events as they come, never values that wait: its reasons are alerts about the arrival of
events, and figures of its own.
"""

from schemas.alert import Alert
from schemas.model_spec import FallbackRules
from streams.action.book import key_of
from streams.action.fallback import Fallback, Reason
from streams.action.records import Occasion, fallback
from streams.clock import NEVER_MS
from streams.emission import EventRow
from streams.model.publication import Publication
from streams.model.spec import SpecInForce

_REASON_OF: dict[tuple[str, str], Reason] = {
    ("answers", "error"): "failed",
    ("predictions", "silence"): "silent",
}
"""Alerts that are a reason, by series and aspect."""


class Deputy:
    """The fallback of one model; it does nothing unless the spec asks for it.

    Parameters
    ----------
    model_id, partition
        The model.
    state
        Its stored state.
    in_force
        The spec of the model.
    publication
        Publishes its lease.
    """

    def __init__(
        self,
        model_id: str,
        partition: int,
        state: Fallback,
        in_force: SpecInForce,
        publication: Publication,
    ) -> None:
        self.state = state
        self._model_id = model_id
        self._partition = partition
        self._in_force = in_force
        self._publication = publication

    @property
    def rules(self) -> FallbackRules | None:
        """The policy in force; None is none."""
        return self._in_force.spec.fallback

    @property
    def due_ms(self) -> int:
        """Log time at which `advance` says something."""
        return NEVER_MS if self.rules is None else self.state.due_ms

    def on_alert(self, alert: Alert, row: EventRow) -> None:
        """Take in a transition of an alert."""
        reason = _REASON_OF.get((alert.series, alert.aspect))
        if reason is not None and self.rules is not None:
            self.state.on_reason(reason, holds=alert.status != "resolved", now_ms=row.now_ms)
            self.advance(row)

    def advance(self, row: EventRow) -> None:
        """Say what is due at an event, or a tick."""
        rules, now_ms = self.rules, row.now_ms
        if rules is None or now_ms < self.state.due_ms:
            return
        reasons, key = tuple(self.state.reasons), key_of(self._model_id, "fallback")
        step = self.state.step(now_ms, rules)
        if step is None:
            return
        if step != "renew":
            self._publication.close(key, row)
        name = self._publication.book.next(self._model_id, "fallback")
        expires_ms = None if step == "off" else now_ms + round(1_000 * rules.ttl_s)
        at = Occasion.of(self._model_id, self._partition, row)
        said = fallback(reasons, rules, name, at, expires_ms=expires_ms)
        self._publication.say(said, row)

    def clear(self, row: EventRow) -> None:
        """End the lease without a word: the model is removed, or nothing is asked for any more."""
        self.state.clear()
        self._publication.close(key_of(self._model_id, "fallback"), row)
