"""When a model should not be asked, and when it may be again: a lease that ends by itself.

Rule 1. There are four reasons: calls fail (the alert about `status` error), predictions are silent
        (its alert), answers are slow, answers are wrong. The last two have limits in the spec.
Rule 2. The command is a lease: it is renewed every third of its time while a reason holds and
        nothing has proved the model. A monitor that is gone renews nothing.
Rule 3. Meanwhile a share of the predictions, the probes, is still asked of the model: every one
        whose status is not `fallback`. The lease ends once probes have proved the model, see
        `Proof`, and ``hold_s`` have passed. An alert that is over proves nothing: while a fallback
        answers, no call fails.
Rule 4. Wrong answers are proved by labels: by as many judged answers, given since, as `ErrorWindow`
        needs.
"""

import math
from typing import Literal

from msgspec import field

from schemas.model_spec import FallbackRules
from streams.action.comparison import wilson
from streams.clock import NEVER_MS
from streams.codec import Machine

Reason = Literal["failed", "silent", "slow", "wrong"]
Step = Literal["on", "renew", "off"]

RENEWALS = 3
"""Records of a lease in its time: two may be lost or late."""
GOOD, BAD = 0.02, 0.3
"""Shares of failed probes of a model that works, and of one that does not. By judgement: a service
that fails more than a third of its calls is down for its users."""
PROVED = math.log(100.0)
"""Log likelihood ratio at which probes have proved a model: one bad model in 100 is let in."""
OF_GOOD_PROBE = math.log((1 - GOOD) / (1 - BAD))
OF_BAD_PROBE = math.log(GOOD / BAD)
WINDOW = 200
"""Answers of a window of latencies or errors."""
PROBES = 50
"""Judged answers that can prove a model whose answers were wrong."""
SLOWEST_SHARE = 0.01
"""Share of the answers that may be slower than the limit: the 99th percentile is at it."""
ONE_SIDED = 1.645
"""Standard errors of a bound of 95 % on one side."""


class Proof(Machine):
    """A one-sided CUSUM of probes, floored at 0: 14 good ones in a row prove a model.

    References
    ----------
    Page 1954, "Continuous inspection schemes"; Wald 1945 for the limit.
    """

    score: float = 0.0

    def on_probe(self, *, is_good: bool) -> None:
        """Take in a probe."""
        self.score = max(0.0, self.score + (OF_GOOD_PROBE if is_good else OF_BAD_PROBE))

    @property
    def is_complete(self) -> bool:
        """Whether the model is proved."""
        return self.score >= PROVED


class Hits(Machine):
    """Hits among the answers of a window that begins again when it is full."""

    rows: int = 0
    hits: int = 0

    def add(self, *, is_hit: bool) -> None:
        """Count an answer."""
        self.rows += 1
        self.hits += is_hit

    def low(self) -> float:
        """Return the lower bound of the share."""
        return wilson(self.hits, self.rows, ONE_SIDED)[0]

    def high(self) -> float:
        """Return the upper bound of the share."""
        return wilson(self.hits, self.rows, ONE_SIDED)[1]


class Fallback(Machine):
    """The lease of one model."""

    reasons: dict[Reason, None] = {}
    due_ms: int = NEVER_MS
    _on_ms: int | None = None
    _said_ms: int = 0
    _proof: Proof = field(default_factory=Proof)
    _slow: Hits = field(default_factory=Hits)
    _wrong: Hits = field(default_factory=Hits)

    @property
    def is_on(self) -> bool:
        """Whether the lease holds."""
        return self._on_ms is not None

    def on_reason(self, reason: Reason, *, holds: bool, now_ms: int) -> None:
        """Take in that a reason holds, or no longer does (Rule 1)."""
        if holds:
            self.reasons[reason] = None
            self.due_ms = min(self.due_ms, now_ms)
        elif not self.is_on:
            self.reasons.pop(reason, None)

    def on_prediction(
        self, status: str, latency_ms: float | None, now_ms: int, rules: FallbackRules
    ) -> None:
        """Take in a prediction: a probe where no fallback answered."""
        if status == "fallback":
            return
        limit_ms = rules.latency_ms_above
        is_slow = limit_ms is not None and latency_ms is not None and latency_ms > limit_ms
        if self.is_on:
            self._proof.on_probe(is_good=status == "ok" and not is_slow)
            self._check(now_ms, rules)
        elif limit_ms is not None and status == "ok":
            self._slow.add(is_hit=is_slow)
            if self._slow.rows >= WINDOW:
                self.on_reason("slow", holds=self._slow.low() > SLOWEST_SHARE, now_ms=now_ms)
                self._slow = Hits()

    def on_pair(
        self, *, is_error: bool, predicted_ms: int, now_ms: int, rules: FallbackRules
    ) -> None:
        """Take in a judged answer of the model."""
        if rules.error_above is None or predicted_ms < (self._on_ms or 0):
            return
        self._wrong.add(is_hit=is_error)
        if self.is_on:
            self._check(now_ms, rules)
        elif self._wrong.rows >= WINDOW:
            self.on_reason("wrong", holds=self._wrong.low() > rules.error_above, now_ms=now_ms)
            self._wrong = Hits()

    def step(self, now_ms: int, rules: FallbackRules) -> Step | None:
        """Return what has to be said at an instant, and take note that it is."""
        if not self.is_on:
            return self._begin(now_ms, rules) if self.reasons else None
        if self._is_proved(now_ms, rules):
            self.clear()
            return "off"
        if now_ms - self._said_ms >= 1_000 * rules.ttl_s:
            self._on_ms = None  # it has ended by itself
            return self._begin(now_ms, rules)
        if now_ms < self._renewal_ms(rules):
            self._check(now_ms, rules)
            return None
        self._say(now_ms, rules)
        return "renew"

    def clear(self) -> None:
        """Begin again without a lease and without a reason."""
        self.reasons, self.due_ms, self._on_ms = {}, NEVER_MS, None
        self._proof, self._slow, self._wrong = Proof(), Hits(), Hits()

    def _begin(self, now_ms: int, rules: FallbackRules) -> Step:
        self._on_ms, self._proof, self._wrong = now_ms, Proof(), Hits()
        self._say(now_ms, rules)
        return "on"

    def _say(self, now_ms: int, rules: FallbackRules) -> None:
        self._said_ms = now_ms
        self.due_ms = self._renewal_ms(rules)

    def _renewal_ms(self, rules: FallbackRules) -> int:
        return self._said_ms + math.ceil(1_000 * rules.ttl_s / RENEWALS)

    def _check(self, now_ms: int, rules: FallbackRules) -> None:
        """Set the instant of the next step."""
        self.due_ms = self._renewal_ms(rules)
        if self._is_proved(now_ms, rules):
            self.due_ms = now_ms

    def _is_proved(self, now_ms: int, rules: FallbackRules) -> bool:
        if self._on_ms is None or now_ms - self._on_ms < 1_000 * rules.hold_s:
            return False
        is_proved = True
        if "wrong" in self.reasons and rules.error_above is not None:
            is_proved = self._wrong.rows >= PROBES and self._wrong.high() < rules.error_above
        others = self.reasons.keys() - {"wrong"}
        return is_proved and (self._proof.is_complete or not others)
