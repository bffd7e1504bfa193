"""The life of an alert: when it fires, goes on, and is over.

    state     what happens                                        next      what is said
    quiet     a change, and nothing is to be held                 firing    firing
    quiet     a change, and `hold` checks are asked for           pending   -
    pending   so many blocks of values were away                  firing    firing
    pending   the series is back                                  quiet     -, counted
    firing    away, and a change made it much another one         firing    ongoing
    firing    away, and `renotify_s` have passed                  firing    ongoing
    firing    a person takes note of it, or mutes it              firing    ongoing
    firing    the series is back, and not flapping                quiet     resolved
    firing    flapping, and back as long as three firings took    quiet     resolved
    firing    a person accepts what the series has become         quiet     resolved
    firing    the series is learnt anew, or watched no more       quiet     resolved

Rule 1. A fingerprint (model, series, aspect, segment) has at most one open alert: a further change
        of an open alert renews its figures.
Rule 2. Time is the model's log time; what is awaited is awaited in values of the series.
Rule 3. A series without an open alert costs nothing here.
Rule 4. When a series is back, the detectors learn it anew: what they have learnt of it since the
        alarm is not its normal.
Rule 5. How values are cut into records changes nothing.
Rule 6. When the rhythm of a series comes to be known, what was told of it before may have been the
        rhythm: that is over, and the series is learnt anew.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

import msgspec

from schemas.alert import AlertStatus, Because
from schemas.model_spec import AlertRules
from streams.alert.transition import OperatorNote, Transition
from streams.aspects import ASPECTS, SeriesRole
from streams.change import Change, Condition
from streams.clock import NEVER_MS, Instants
from streams.codec import decode, encode
from streams.series.detection import Detection
from streams.series.recovery import AWAY_ROWS, RecoveryCheck, recovery_check_of
from streams.series.recovery_measures import BlockResult
from streams.series.watch import SeriesWatch
from streams.values import Scalar

FLAPS = 3
"""So many firings within `renotify_s` are flapping."""
MUCH = 2.0
"""An effect so many times as strong, or as weak, as what was said last is another one."""
State = Literal["quiet", "pending", "firing"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Values of one series that are still to be read.

    Parameters
    ----------
    watch
        What watches the series.
    series, role
        Its name, and what it is to the model.
    values, at_ms
        The values and their instants.
    first_row
        The row of the first value.
    now_of
        Gives the log time of a row.
    """

    watch: SeriesWatch
    series: str
    role: SeriesRole
    values: Sequence[Scalar]
    at_ms: Instants
    first_row: int
    now_of: Callable[[int], int]


@dataclass(slots=True)
class AlertState:
    """One fingerprint of a model.

    Attributes
    ----------
    change
        What raised the alert, with the figures of the latest block.
    onset_rows
        Values between the estimated onset and the alarm.
    said, said_ms
        What was said last, and when.
    fired_ms
        The last ``FLAPS`` firings.
    back_since_ms
        Since when the series has been back, without the alert being resolved.
    settling
        Blocks until the first that lies wholly after a further change; 0 when there was none.
    """

    series: str
    role: str
    aspect: str
    state: State = "quiet"
    episode: int = 0
    sequence: int = 0
    change: Change | None = None
    onset_rows: int = 0
    said: Change | None = None
    said_ms: int = 0
    fired_ms: list[int] = field(default_factory=list)
    back_since_ms: int | None = None
    settling: int = 0
    is_flapping: bool = False
    acknowledged: OperatorNote | None = None
    muted_until_ms: int | None = None
    condition: Condition | None = None
    gauge: RecoveryCheck | None = None

    @property
    def calm_ms(self) -> int:
        """When an alert that flaps will have been back for as long as its firings took."""
        if self.back_since_ms is None:
            return NEVER_MS
        return self.back_since_ms + self.fired_ms[-1] - self.fired_ms[0]

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("change", "said"):
            kept[name] = kept[name] and _kept(kept[name])
        kept["acknowledged"] = kept["acknowledged"] and kept["acknowledged"]._asdict()
        kept["condition"] = kept["condition"] and msgspec.to_builtins(kept["condition"])
        return kept | {"gauge": self.gauge and encode(self.gauge).hex()}

    @classmethod
    def restore(cls, tree: dict[str, Any]) -> "AlertState":
        """Return the life as it was."""
        kept = dict(tree)
        for name in ("change", "said"):
            kept[name] = kept[name] and _restored(kept[name])
        kept["acknowledged"] = kept["acknowledged"] and OperatorNote(**kept["acknowledged"])
        kept["condition"] = kept["condition"] and msgspec.convert(kept["condition"], Condition)
        kept["gauge"] = kept["gauge"] and decode(bytes.fromhex(kept["gauge"]), RecoveryCheck)
        return cls(**kept)


class AlertStates:
    """The alerts of one model.

    Parameters
    ----------
    rules
        What the model's owner asks for; may be set anew at any time.

    Attributes
    ----------
    dropped
        Pending alerts that have not fired.
    """

    def __init__(self, rules: AlertRules) -> None:
        self.rules = rules
        self.dropped = 0
        self._lives: dict[tuple[str, str], AlertState] = {}
        self._gauged: dict[str, list[AlertState]] = {}

    def read(self, stretch: Stretch) -> list[Transition]:
        """Have the watch of a series, and its gauges if it has any, read values."""
        values, watch, series = stretch.values, stretch.watch, stretch.series
        steps: list[Transition] = []
        at = 0
        while at < len(values):
            # No further than to the end of a block: what is learnt anew begins there (Rule 4). A
            # gauge may open on the way, and its last block must not end on the way as well.
            gauges = [life.gauge for life in self._gauged.get(series, ()) if life.gauge]
            due = min((gauge.due for gauge in gauges), default=AWAY_ROWS)
            end = min(at + min(due, AWAY_ROWS), len(values))
            seen = watch.seen - at
            changes = watch.update(values[at:end], stretch.at_ms[at:end])
            steps += self._follow(stretch, at, end, changes, seen)
            at = end
        return steps

    def follow(self, stretch: Stretch, changes: Sequence[Detection], seen: int) -> list[Transition]:
        """Let the alerts of a series without gauges live with what its watch has found.

        Parameters
        ----------
        stretch
            The values that it has read.
        changes
            What it found in them.
        seen
            How many values it had read before.
        """
        return self._follow(stretch, 0, len(stretch.values), changes, seen)

    def is_gauged(self, series: str) -> bool:
        """Tell whether alerts of a series read its values."""
        return series in self._gauged

    def on_condition(self, condition: Condition, *, is_on: bool, now_ms: int) -> list[Transition]:
        """Take into account what is no change of a series, such as silence.

        Parameters
        ----------
        condition
            What it is, with its figures as they are now.
        is_on
            Whether it is so.
        now_ms
            The model's log time.
        """
        life = self._life(condition.series, condition.kind, condition.aspect)
        change = condition.change
        if not is_on:
            if life.state == "quiet":
                return []
            life.change, life.condition = change, condition
            return self._close_if_calm(life, now_ms)
        life.change, life.condition, life.back_since_ms = change, condition, None
        if life.state == "quiet":
            return [self._fire(life, now_ms)]
        if _differs(life) or self._is_due(life, now_ms):
            return [self._say(life, "ongoing", now_ms)]
        return []

    def settle(self, now_ms: int) -> list[Transition]:
        """End what is no change of a series, was flapping, and has been back for long enough."""
        return [
            step
            for life in self._in_order()
            if now_ms >= self._settled_ms(life)
            for step in self._close_if_calm(life, now_ms)
        ]

    def settling_due_ms(self) -> int:
        """Return when `settle` will end something, if nothing happens before."""
        return min(map(self._settled_ms, self._lives.values()), default=NEVER_MS)

    def renewal_due_ms(self, series: str, aspect: str) -> int:
        """Return when an open alert that goes on is to be said again."""
        life = self._lives.get((series, aspect))
        if life is None or life.state != "firing":
            return NEVER_MS
        return life.said_ms + math.ceil(1_000 * self.rules.renotify_s)

    def acknowledge(
        self, series: str, aspect: str, note: OperatorNote, now_ms: int
    ) -> list[Transition]:
        """Say that a person has taken note of an open alert."""
        life = self._lives.get((series, aspect))
        if life is None or life.state != "firing":
            return []
        life.acknowledged = note
        return [self._say(life, "ongoing", now_ms)]

    def mute(self, series: str, aspect: str, until_ms: int | None, now_ms: int) -> list[Transition]:
        """Say until when nobody wants to be told of an open alert; None is unmuted."""
        life = self._lives.get((series, aspect))
        if life is None or life.state != "firing":
            return []
        life.muted_until_ms = until_ms
        return [self._say(life, "ongoing", now_ms)]

    def close(
        self,
        because: Because,
        now_ms: int,
        *,
        series: str | None = None,
        aspect: str | None = None,
        note: OperatorNote | None = None,
    ) -> list[Transition]:
        """End open alerts: of a series, of an aspect, or all; what was pending is dropped."""
        steps = []
        for life in self._in_order():
            if series not in {None, life.series} or aspect not in {None, life.aspect}:
                continue
            if life.state == "firing":
                life.acknowledged = note or life.acknowledged
                steps.append(self._say(life, "resolved", now_ms, because))
            self._rest(life)
        return steps

    def snapshot(self) -> dict[str, Any]:
        """Return the state."""
        return {
            "dropped": self.dropped,
            "lives": [life.snapshot() for life in self._in_order()],
        }

    @classmethod
    def restore(cls, rules: AlertRules, tree: dict[str, Any]) -> "AlertStates":
        """Return the lives as they were."""
        lives = cls(rules)
        lives.dropped = tree["dropped"]
        for life in map(AlertState.restore, tree["lives"]):
            lives._lives[life.series, life.aspect] = life
            if life.gauge is not None:
                lives._open_gauge(life, life.gauge)
        return lives

    def _in_order(self) -> list[AlertState]:
        """Return all lives in an order that does not depend on how the log was cut."""
        return [self._lives[name] for name in sorted(self._lives)]

    def _open_gauge(self, life: AlertState, gauge: RecoveryCheck) -> None:
        life.gauge = gauge
        gauged = self._gauged.setdefault(life.series, [])
        gauged.append(life)
        gauged.sort(key=lambda each: each.aspect)

    # Values of a series

    def _follow(
        self, stretch: Stretch, start: int, end: int, changes: Sequence[Detection], seen: int
    ) -> list[Transition]:
        """Let the gauges read what the watch has read, and the alerts live."""
        found = [(start + change.index, change) for change in changes]
        anew = stretch.watch.profile_since - seen
        if not start <= anew < end:
            return self._live(stretch, start, end, found, seen)
        before = [each for each in found if each[0] < anew]
        return [
            *self._live(stretch, start, anew, before, seen),
            *self._restart(stretch, anew, seen),
            *self._live(stretch, anew, end, found[len(before) :], seen),
        ]

    def _restart(self, stretch: Stretch, row: int, seen: int) -> list[Transition]:
        """End the alerts of a series whose rhythm they may have been (Rule 6)."""
        now_ms, series = stretch.now_of(stretch.first_row + row), stretch.series
        aspects = [life.aspect for life in self._gauged.get(series, ())]
        return [
            step._replace(row=stretch.first_row + row, series_seen=seen + row + 1)
            for aspect in aspects
            if ASPECTS[aspect].is_drift
            for step in self.close("relearned", now_ms, series=series, aspect=aspect)
        ]

    def _live(
        self,
        stretch: Stretch,
        start: int,
        end: int,
        found: Sequence[tuple[int, Detection]],
        seen: int,
    ) -> list[Transition]:
        steps: list[Transition] = []
        at = start
        for row, change in found:
            steps += self._gauge(stretch, at, row + 1, seen)
            at = row + 1
            steps += [
                step._replace(row=stretch.first_row + row, series_seen=seen + row + 1)
                for step in self._on_change(stretch, change, row)
            ]
        return steps + self._gauge(stretch, at, end, seen)

    def _gauge(self, stretch: Stretch, start: int, end: int, seen: int) -> list[Transition]:
        steps: list[Transition] = []
        for life in list(self._gauged.get(stretch.series, ())):
            at = start
            while at < end and life.gauge is not None:
                stop = min(at + life.gauge.due, end)
                reading = life.gauge.read(stretch.values[at:stop], stretch.at_ms[at:stop])
                at = stop
                if reading is None:
                    continue
                now_ms = stretch.now_of(stretch.first_row + at - 1)
                steps += [
                    step._replace(row=stretch.first_row + at - 1, series_seen=seen + at)
                    for step in self._on_block(life, life.gauge, reading, now_ms)
                ]
                if life.state == "quiet":
                    stretch.watch.restart(life.aspect)
        return steps

    def _on_change(self, stretch: Stretch, change: Detection, row: int) -> list[Transition]:
        aspect = plain_aspect(stretch.role, change.aspect)
        life = self._life(stretch.series, stretch.role, aspect)
        value = stretch.values[row]
        if life.gauge is not None:
            life.settling = 2
            life.gauge.measure.add_change(change, value)
            return []
        self._open_gauge(life, recovery_check_of(change, value))
        # What is kept must not tell how the values were cut.
        life.change = change.change
        life.onset_rows = change.figures.rows
        if self.rules.hold:
            life.state = "pending"
            return []
        return [self._fire(life, stretch.now_of(stretch.first_row + row))]

    def _on_block(
        self, life: AlertState, gauge: RecoveryCheck, reading: BlockResult, now_ms: int
    ) -> list[Transition]:
        has_settled, life.settling = life.settling == 1, max(life.settling - 1, 0)
        life.change = reading.onto(_of(life.change), life.onset_rows + gauge.rows)
        if gauge.is_back:
            return self._close_if_calm(life, now_ms)
        life.back_since_ms = None
        if reading.is_back:
            return []
        if life.state == "pending":
            return [self._fire(life, now_ms)] if gauge.blocks_away >= self.rules.hold else []
        is_news = has_settled and _differs(life)
        if is_news or self._is_due(life, now_ms):
            return [self._say(life, "ongoing", now_ms)]
        return []

    def _close_if_calm(self, life: AlertState, now_ms: int) -> list[Transition]:
        """End an alert that is back, unless it flaps and has not been back for long enough."""
        if life.back_since_ms is None:
            life.back_since_ms = now_ms
        if life.state == "pending":
            self.dropped += 1
            self._rest(life)
            return []
        if life.is_flapping and now_ms < life.calm_ms:
            return []
        step = self._say(life, "resolved", now_ms, "returned")
        self._rest(life)
        return [step]

    # One alert

    def _settled_ms(self, life: AlertState) -> int:
        is_awaited = life.state == "firing" and life.gauge is None
        return life.calm_ms if is_awaited else NEVER_MS

    def _life(self, series: str, role: str, aspect: str) -> AlertState:
        return self._lives.setdefault((series, aspect), AlertState(series, role, aspect))

    def _is_due(self, life: AlertState, now_ms: int) -> bool:
        return now_ms - life.said_ms >= 1_000 * self.rules.renotify_s

    def _fire(self, life: AlertState, now_ms: int) -> Transition:
        life.state = "firing"
        life.episode += 1
        life.sequence = -1
        life.fired_ms = [*life.fired_ms, now_ms][-FLAPS:]
        took_ms = now_ms - life.fired_ms[0]
        is_often = len(life.fired_ms) == FLAPS
        life.is_flapping = is_often and took_ms <= 1_000 * self.rules.renotify_s
        life.acknowledged = None
        return self._say(life, "firing", now_ms)

    def _say(
        self, life: AlertState, status: AlertStatus, now_ms: int, because: Because | None = None
    ) -> Transition:
        life.sequence += 1
        life.said, life.said_ms = life.change, now_ms
        if life.muted_until_ms is not None and life.muted_until_ms <= now_ms:
            life.muted_until_ms = None
        return Transition(
            series=life.series,
            role=life.role,
            aspect=life.aspect,
            status=status,
            because=because,
            change=_of(life.change),
            episode=life.episode,
            sequence=life.sequence,
            is_flapping=life.is_flapping,
            acknowledged=life.acknowledged,
            muted_until_ms=life.muted_until_ms,
            condition=life.condition,
        )

    def _rest(self, life: AlertState) -> None:
        """Be quiet again; how often it has fired, and when, is kept."""
        life.state, life.gauge, life.back_since_ms = "quiet", None, None
        life.change = life.said = life.condition = None
        life.settling = 0
        if life in (gauged := self._gauged.get(life.series, [])):
            gauged.remove(life)
            if not gauged:
                del self._gauged[life.series]


def plain_aspect(role: str, aspect: str) -> str:
    """Name the share of a classifier's rows that are errors for what it is: the error's level."""
    return "level" if role == "error" and aspect == "share" else aspect


def _kept(change: Change) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(change))


def _restored(change: dict[str, Any]) -> Change:
    return msgspec.convert(change, Change)


def _of(change: Change | None) -> Change:
    if change is None:
        msg = "an open alert has figures"
        raise ValueError(msg)
    return change


def _differs(life: AlertState) -> bool:
    """Tell whether the figures are much others than what was said last."""
    now, said = _of(life.change), _of(life.said)
    if now.figures.direction != said.figures.direction:
        return True
    strong, weak = now.figures.strength, said.figures.strength
    return not weak / MUCH < strong < MUCH * weak if strong or weak else False
