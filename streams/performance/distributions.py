"""The distributions of one model's series: values in, records about references and series out.

Rule 1. A model whose spec asks for no figures has none, and costs nothing.
Rule 2. A value counts in the hour of log time at which it came, and an hour is closed before the
        event that ends it: so an hour is published once. Where only days are asked for, an hour of
        fewer than ``LEAST_ROWS`` rows goes on into the next, up to the end of its day: to close one
        costs a reading of all series.
Rule 3. A reference is taken at the end of an hour, and the values after it are counted by it. While
        an alert about a drift is open there is no new one (`SeriesWatch.outline`).
Rule 4. A profile from the spec stays the reference, whatever the series has learnt since.
Rule 5. A record is named by its number among the model's, and numbers outlive a removal.
Rule 6. Values of several readings are counted together, which costs a tenth: at ``MOST_ROWS``, at
        the end of the hour, and before the state is looked at, so that the state never holds one.
Rule 7. Where the spec asks for it, the largest parts of the traffic have records of their own, a
        day each (`streams.performance.segment_drift`).
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from schemas.metric import CohortKind
from schemas.model_spec import ModelSpec
from schemas.series import Series
from schemas.wire import Wire, to_rfc3339
from streams.aspects import SeriesRole
from streams.clock import DAY_MS, HOUR_MS, NEVER_MS
from streams.codec import Machine, encode
from streams.detect.outline import Outline
from streams.performance.cohorts import LENGTH_MS
from streams.performance.frame import Frame
from streams.performance.grid import Tally
from streams.performance.segment_drift import Part, RowSegment, SegmentTallies
from streams.performance.series_report import (
    ReferenceFacts,
    SeriesTally,
    ndcg_of,
    reference_of,
    summary_of,
)
from streams.values import Scalar

MOST_ROWS = 512
"""Rows of readings that wait to be counted together: numpy's calls then cost some 50 ns a value."""
LEAST_ROWS = 200
"""Predictions and pairs for which a reading of all series is worth its price: below 1 us a row."""


class SeriesValues(NamedTuple):
    """Values of one series, in log order; ``is_new`` where the series begins with the first."""

    series: str
    role: SeriesRole
    values: Sequence[Scalar]
    is_new: bool


class References(Protocol):
    """The monitored series, which know their references."""

    def __contains__(self, series: object) -> bool:
        """Tell whether a series is monitored."""

    def outline(self, series: str) -> Outline | None:
        """Return its present reference; None where it has none."""


class DistributionsState(Machine):
    """The stored state of `Distributions`.

    Attributes
    ----------
    records
        Records published so far; it outlives a removal of the model.
    hour_ms, day_ms
        The beginning of the present hour and day; `NEVER_MS` before their first value.
    rows
        Predictions and pairs of the present hour.
    series
        The series, in the order in which they began.
    segments
        The parts of the traffic, where they are asked for.
    """

    records: int = 0
    hour_ms: int = NEVER_MS
    day_ms: int = NEVER_MS
    rows: int = 0
    series: dict[str, SeriesTally] = {}
    segments: SegmentTallies | None = None


class KeyedRecord(NamedTuple):
    """A record of ``metrics`` and its key."""

    key: str
    record: Wire


class Distributions:
    """The distributions of one model's series.

    Parameters
    ----------
    model_id
        The model.
    spec, spec_version
        The spec in force.
    state
        The stored state; a new one when None.
    """

    def __init__(
        self,
        model_id: str,
        spec: ModelSpec,
        spec_version: int,
        state: DistributionsState | None = None,
    ) -> None:
        self._state = state or DistributionsState()
        self._waiting: dict[str, list[Sequence[Scalar]]] = {}
        self._waiting_rows = 0
        self._model_id = model_id
        self.respec(spec, spec_version)

    @property
    def state(self) -> DistributionsState:
        """The state to be stored, with all values counted (Rule 6)."""
        self._count_waiting()
        return self._state

    def respec(self, spec: ModelSpec, spec_version: int) -> None:
        """Put another spec in force; one that asks for no figures ends them."""
        self._spec_version = spec_version
        self._rules = spec.metrics
        if spec.metrics is None:
            self.restart()
        if spec.metrics is None or spec.segments is None or not spec.segments.drift:
            self._state.segments = None
        elif self._state.segments is None:
            self._state.segments = SegmentTallies()

    def restart(self) -> None:
        """Begin again: the model is removed."""
        self._waiting, self._waiting_rows = {}, 0
        segments = None if self._state.segments is None else SegmentTallies()
        self._state = DistributionsState(self._state.records, segments=segments)

    @property
    def has_segments(self) -> bool:
        """Whether parts of the traffic are counted."""
        return self._state.segments is not None

    @property
    def due_ms(self) -> int:
        """Log time at which an hour, or a day, is to be closed."""
        state = self._state
        end_ms = state.day_ms if state.day_ms == NEVER_MS else state.day_ms + DAY_MS
        return min(end_ms, self._hour_ends_ms)

    @property
    def _hour_ends_ms(self) -> int:
        """Log time at which the present hour is to be closed."""
        state, rules = self._state, self._rules
        if state.hour_ms == NEVER_MS:
            return NEVER_MS
        is_asked = rules is not None and rules.every == "hour"
        if is_asked or state.rows >= LEAST_ROWS:
            return state.hour_ms + HOUR_MS
        return state.hour_ms // DAY_MS * DAY_MS + DAY_MS

    def note(self, now_ms: int) -> None:
        """Take note of an event: its values will be read."""
        if self._rules is None:
            return
        self._state.rows += 1
        if self._state.hour_ms == NEVER_MS:
            self._state.hour_ms = now_ms // HOUR_MS * HOUR_MS
            if self._state.day_ms == NEVER_MS:
                self._state.day_ms = now_ms // DAY_MS * DAY_MS

    def read(
        self,
        columns: Iterable[SeriesValues],
        segments_of: Mapping[SeriesRole, Sequence[RowSegment]],
    ) -> None:
        """Count values: all of them came in the present hour (Rule 2).

        Parameters
        ----------
        segments_of
            `segment` of each row, by the role of the series; none where that is not asked for.
        """
        if self._rules is None:
            return
        series, waiting, rows = self._state.series, self._waiting, 0
        parts, members = self._state.segments, dict[SeriesRole, list[list[int]]]()
        if parts is not None:
            parts.count_rows(segments_of.get("feature", ()))
            members = {role: parts.members(segments) for role, segments in segments_of.items()}
        for name, role, values, is_new in columns:
            if is_new or name not in series:
                waiting.pop(name, None)
                series[name] = SeriesTally(role, self._state.hour_ms)
            waiting.setdefault(name, []).append(values)
            rows = max(rows, len(values))
            frame = series[name].frame
            if parts is not None and frame is not None and role in members:
                parts.count(name, frame, values, members[role])
        self._waiting_rows += rows
        if self._waiting_rows >= MOST_ROWS:
            self._count_waiting()

    def due(self, now_ms: int, sources: References) -> list[KeyedRecord]:
        """Close the hour, and the day, that are over at ``now_ms``; return their records.

        Parameters
        ----------
        sources
            The series as they are after all values of the hour.
        """
        state, records = self.state, list[KeyedRecord]()
        is_hour_over = now_ms >= self._hour_ends_ms
        if is_hour_over:
            self._drop_ended(sources)
            records += self._close_hour(now_ms)
        if state.day_ms != NEVER_MS and now_ms >= state.day_ms + DAY_MS:
            records += self._close_day(now_ms)
        if is_hour_over:
            records += self._take_references(now_ms, sources)
        return records

    def closing(self, now_ms: int) -> list[KeyedRecord]:
        """Return the records of the present hour and day, for the end of a recording."""
        records = [] if self.state.hour_ms == NEVER_MS else self._close_hour(now_ms)
        return records if self.state.day_ms == NEVER_MS else records + self._close_day(now_ms)

    def _count_waiting(self) -> None:
        if not self._waiting_rows:
            return
        for name, parts in self._waiting.items():
            values = parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))
            self._state.series[name].count(values)
        self._waiting, self._waiting_rows = {}, 0

    def _drop_ended(self, sources: References) -> None:
        series = self.state.series
        for name in [name for name in series if name not in sources]:
            del series[name]

    def _close_hour(self, now_ms: int) -> list[KeyedRecord]:
        state, records = self.state, list[KeyedRecord]()
        if self._rules is not None and self._rules.every == "hour":
            tallies = {name: each.hour for name, each in state.series.items()}
            records = self._record("hour", state.hour_ms, now_ms, tallies)
        for each in state.series.values():
            each.day.add_all(each.hour)
            each.hour = Tally()
        state.hour_ms, state.rows = NEVER_MS, 0
        if state.segments is not None and not state.segments.parts:
            state.segments.choose()
        return records

    def _close_day(self, now_ms: int) -> list[KeyedRecord]:
        state = self.state
        tallies = {name: each.day for name, each in state.series.items()}
        records = self._record("day", state.day_ms, now_ms, tallies)
        if state.segments is not None:
            for part, of_part in zip(state.segments.parts, state.segments.tallies, strict=True):
                records += self._record("day", state.day_ms, now_ms, of_part, part)
            state.segments.begin_day()
        for each in state.series.values():
            each.day = Tally()
        state.day_ms = NEVER_MS
        return records

    def _record(
        self,
        kind: CohortKind,
        start_ms: int,
        now_ms: int,
        tallies: Mapping[str, Tally],
        part: Part | None = None,
    ) -> list[KeyedRecord]:
        """Return the record of a time, or of a part of its traffic, if it had a row."""
        series = self.state.series
        summaries = [
            summary_of(name, series[name], tally)
            for name, tally in tallies.items()
            if tally.rows and name in series
        ]
        if not summaries:
            return []
        record = Series(
            series_id=self._next_id("series"),
            model_id=self._model_id,
            spec_version=self._spec_version,
            kind=kind,
            start=to_rfc3339(start_ms),
            end=to_rfc3339(start_ms + LENGTH_MS[kind]),
            as_of=to_rfc3339(now_ms),
            attribution_ndcg=ndcg_of(summaries, series),
            segment=None if part is None else {part.dimension: part.value},
            series=summaries,
        )
        key = f"{self._model_id}|series|{kind}|{start_ms}"
        return [
            KeyedRecord(key if part is None else f"{key}|{part.dimension}={part.value}", record)
        ]

    def _take_references(self, now_ms: int, sources: References) -> list[KeyedRecord]:
        """Take the references that are new; return their records."""
        records: list[KeyedRecord] = []
        for name, series in self.state.series.items():
            outline = sources.outline(name)
            digest = 0 if outline is None else zlib.crc32(encode(outline))
            if outline is None or digest == series.digest:
                continue
            before, series.digest = series.reference_id, digest
            series.reference_id = self._next_id("reference")
            series.frame, series.is_profile = Frame.of(outline), outline.is_profile
            series.day.forget_values()
            if self.state.segments is not None:
                self.state.segments.forget_values(name)
            facts = ReferenceFacts(
                reference_id=series.reference_id,
                supersedes=before,
                model_id=self._model_id,
                spec_version=self._spec_version,
                series=name,
                as_of_ms=now_ms,
            )
            key = f"{self._model_id}|reference|{name}|{self.state.records}"
            records.append(KeyedRecord(key, reference_of(series, series.frame, facts)))
        return records

    def _next_id(self, what: str) -> str:
        self.state.records += 1
        return f"{self._model_id}/{what}/{self.state.records}"
