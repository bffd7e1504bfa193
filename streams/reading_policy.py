"""When the monitor reads values, saves state, and publishes `status` in full.

It has no clock: every method is given the present instant, in seconds of any clock that the caller
keeps to.

Rule 1. Values are read many at a time, since two cost little more than one. At the end of the log
        they are read at once, unless the values of the partition have just been read: then it rests
        first, for ``READ_COST`` times as long as reading took, though not beyond
        ``WAIT_AT_MOST_S``, or twice as long as reading all partitions takes.
Rule 2. While a backlog of more than ``BEHIND_RECORDS`` lasts, values wait ``WAIT_AT_MOST_S`` at
        least.
Rule 3. A round of saving begins every ``save_every_s``, or ``SAVE_COST`` times as long as it takes.
        It saves a slice at a time, and after each the log has its turn, ``SLICE_COST`` times as
        long: no alert waits until all models are saved.
Rule 4. `status`, with `commands` and the cases of `reviews`, is published in full ``save_every_s``
        after an assignment, or at its end if that comes first, and then every ``STATUS_EVERY_S``: a
        worker that did not know that it was replaced may have put an older record after a newer
        one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

READ_COST = 9
"""Rest after a reading, as a multiple of its time: reading has a tenth of a core at most while few
values come."""
WAIT_AT_MOST_S = 0.2
"""Seconds that values wait at the end of the log: a delay that no operator notices."""
BEHIND_RECORDS = 32
"""Records of a backlog: a second or two of a steady flow, of which a record holds some 50 ms."""
SAVE_COST = 20
"""Time between two rounds of saving, as a multiple of a round's: saving has a twentieth at most."""
SLICE_COST = 3
"""Time for the log after a slice of saving, as a multiple of the slice's."""
STATUS_EVERY_S = 600.0
"""Seconds between two full publications of `status`."""


@dataclass(slots=True)
class _Partition:
    """The readings of one partition."""

    read_at_s: float
    took_s: float = 0.0
    is_behind: bool = False


class ReadingPolicy:
    """The due times of one worker's monitor.

    Parameters
    ----------
    save_every_s
        Seconds between two rounds of saving.

    Examples
    --------
    A reading that took 10 ms is followed by 90 ms of rest:

    >>> policy = ReadingPolicy(save_every_s=2.0)
    >>> policy.assign([0], now_s=100.0)
    >>> policy.note_reading(0, began_s=100.0, now_s=100.01)
    >>> policy.is_reading_due(0, 100.05), policy.is_reading_due(0, 100.11)
    (False, True)
    """

    def __init__(self, save_every_s: float) -> None:
        self._save_every_s = save_every_s
        self._partitions: dict[int, _Partition] = {}
        self._next_save_s = 0.0
        self._round_began_s = 0.0
        self._saving_s = 0.0
        self._next_status_s = 0.0
        self._owes_status = False

    def assign(self, partitions: Iterable[int], now_s: float) -> None:
        """Begin with these partitions, the values of which have just been read."""
        self._partitions = {partition: _Partition(now_s) for partition in partitions}
        self._next_status_s = now_s + self._save_every_s
        self._owes_status = bool(self._partitions)

    # Readings

    def note_backlog(self, partition: int, records: int) -> None:
        """Take note of how many records of a partition are still to be applied."""
        self._partitions[partition].is_behind = records > BEHIND_RECORDS

    def is_reading_due(self, partition: int, now_s: float) -> bool:
        """Tell whether the values that wait are to be read now (Rules 1 and 2)."""
        reading = self._partitions[partition]
        rest_s = READ_COST * reading.took_s
        if reading.is_behind:
            return now_s >= reading.read_at_s + max(WAIT_AT_MOST_S, rest_s)
        all_took_s = sum(each.took_s for each in self._partitions.values())
        return now_s >= reading.read_at_s + min(rest_s, max(WAIT_AT_MOST_S, 2 * all_took_s))

    def is_reading_due_at_the_end(self, partition: int, now_s: float) -> bool:
        """Tell the same right after records were applied: in a backlog, reading is not due."""
        is_behind = self._partitions[partition].is_behind
        return not is_behind and self.is_reading_due(partition, now_s)

    def note_reading(self, partition: int, began_s: float, now_s: float) -> None:
        """Take note of a reading.

        It counts as at most twice as long as the one before: the time for a new reference is no
        measure for the next reading.
        """
        reading = self._partitions[partition]
        took_s = now_s - began_s
        reading.took_s = min(took_s, 2 * reading.took_s) if reading.took_s else took_s
        reading.read_at_s = now_s

    # Saving

    def is_saving_due(self, now_s: float) -> bool:
        """Tell whether a round of saving is to begin, or to go on (Rule 3)."""
        return now_s >= self._next_save_s

    def begin_round(self, now_s: float) -> None:
        """Take note that a round of saving begins."""
        self._round_began_s = now_s
        self._saving_s = 0.0

    def note_slice(self, began_s: float, now_s: float, *, is_last: bool) -> None:
        """Take note of a slice of saving."""
        took_s = now_s - began_s
        self._saving_s += took_s
        self._next_save_s = now_s + SLICE_COST * took_s
        if is_last:
            every_s = max(self._save_every_s, SAVE_COST * self._saving_s)
            self._next_save_s = self._round_began_s + every_s

    # Status

    def is_status_due(self, now_s: float) -> bool:
        """Tell whether `status` is to be published in full (Rule 4)."""
        return now_s >= self._next_status_s

    def owe_status_now(self) -> None:
        """Have `status` published at the end of an assignment, if it has not been yet."""
        if self._owes_status:
            self._next_status_s = 0.0

    def note_status(self, now_s: float) -> None:
        """Take note that `status` has been published in full."""
        self._next_status_s = now_s + STATUS_EVERY_S
        self._owes_status = False
