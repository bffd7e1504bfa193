"""Rows that come in loads: a nightly job's predictions, or the outcomes of a day at once.

Within a load order says nothing: a file is sorted by class, by region or by an amount. Read in that
order, every load looks like a change. So its values are held until it is over, and read in an order
drawn by a hash.

Rule 1. A run is rows of which each comes within ``QUIET_MS`` of the one before. A run of at least
        ``LEAST_ROWS`` rows that is over within ``MOST_MS``, and is followed by ``LEAST_PAUSE``
        times as long without one, is a load.
Rule 2. Rows of a kind are held from the second load on, as long as nine in ten came in loads.
Rule 3. Values are held until the run is over, for ``MOST_MS`` or until they are ``MOST_VALUES``.
        All three follow from the instants in the log: how it is cut into records changes nothing.
"""

from msgspec import field

from streams.clock import NEVER_MS
from streams.codec import Machine
from streams.emission import EventRow
from streams.series.drawn import order_of

QUIET_MS = 60_000
"""Milliseconds without a row after which a run is over. By judgement: jobs pause for seconds, and
an alert may wait for a minute."""
MOST_MS = 600_000
"""Milliseconds that a load lasts, and that a value is held, at most: longer would delay alerts."""
LEAST_ROWS = 100
"""Rows of a load. A sorted run of fewer is a clump, which thresholds allow for."""
LEAST_PAUSE = 9
"""Pause after a load, in its own length: rows come in a tenth of the time, or less."""
LEAST_LOADS = 2
"""Loads after which rows are held: the first may be a history that was sent at once."""
MOST_VALUES = 100_000
"""Values held at most, some 10 MB: 30,000 pairs, or 900 predictions with a hundred features."""
REMEMBERED_ROWS = 10_000
"""Rows after which the counts of Rule 2 are halved."""
_ROW = 3
"""Values of a row beside its features."""


class Load(Machine):
    """The rows of one kind of a model.

    Attributes
    ----------
    quiet_ms
        The log time after which the present run is over.
    is_on
        Whether rows are held (Rule 2).
    due_ms
        The log time at which the rows that are held are read.
    held
        The rows; the number of their values is ``_values``.
    """

    quiet_ms: int = -1
    is_on: bool = False
    due_ms: int = NEVER_MS
    held: list[EventRow] = []
    _values: int = 0
    _until_ms: int = NEVER_MS
    _first_row: int = 0
    _began_ms: int = 0
    _loads: int = 0
    _in_loads: int = 0
    _others: int = 0

    def begin_run(self, row: int, now_ms: int) -> bool:
        """Begin a run with a row, after a pause; return whether rows are to be held otherwise.

        Parameters
        ----------
        row
            The number of the row in its kind, from 1 on.
        now_ms
            Its log time.
        """
        if self._first_row:
            self._judge(row - self._first_row, self.quiet_ms - QUIET_MS, now_ms)
        self._first_row, self._began_ms = row, now_ms
        was_on = self.is_on
        self.is_on = self._loads >= LEAST_LOADS and self._in_loads >= LEAST_PAUSE * self._others
        if was_on and not self.is_on:
            self._loads = 0
        return self.is_on != was_on

    def hold(self, row: EventRow, features: int) -> bool:
        """Hold a row; return whether all that is held is to be read now (Rule 3)."""
        if not self.held:
            self._until_ms = row.now_ms + MOST_MS
        self.held.append(row)
        self._values += _ROW + features
        self.due_ms = min(row.now_ms + QUIET_MS, self._until_ms)
        return self._values >= MOST_VALUES

    def taken(self, seed: int, row: int) -> list[EventRow]:
        """Return the rows that were held, in an order drawn by a hash, and hold none.

        The order follows from the number of the model, ``seed``, and that of the latest row.
        """
        held, self.held = self.held, []
        self._values, self.due_ms = 0, NEVER_MS
        return [held[place] for place in order_of(seed, row, len(held))]

    def _judge(self, rows: int, last_ms: int, now_ms: int) -> None:
        """Count the rows of a run that is over, as those of a load or not (Rule 1)."""
        took_ms = last_ms - self._began_ms
        is_short = took_ms <= MOST_MS and now_ms - last_ms >= LEAST_PAUSE * took_ms
        if rows >= LEAST_ROWS and is_short:
            self._loads += 1
            self._in_loads += rows
        else:
            self._others += rows
        if self._in_loads + self._others > REMEMBERED_ROWS:
            self._in_loads //= 2
            self._others //= 2


class Loads(Machine):
    """The rows of a model, by kind; ``due_ms`` is when values that are held are to be read."""

    predictions: Load = field(default_factory=Load)
    pairs: Load = field(default_factory=Load)
    due_ms: int = NEVER_MS

    def schedule(self) -> None:
        """Set the log time at which values that are held are to be read."""
        self.due_ms = min(self.predictions.due_ms, self.pairs.due_ms)
