"""When the values that wait in a partition are read."""

from dataclasses import dataclass

READ_COST = 9
WAIT_AT_MOST_S = 0.2


@dataclass(slots=True)
class Reading:
    """When the values of a partition were read last, how long that took, and what has come since.

    ``is_behind`` says whether the log holds a backlog.
    """

    at_s: float
    took_s: float = 0.0
    is_behind: bool = False

    def note(self, began_s: float, now_s: float) -> None:
        """Take note that values have been read.

        It took at most twice as long as before: what a new reference took is no rule for the next.
        """
        took_s = now_s - began_s
        self.took_s = min(took_s, 2 * self.took_s) if self.took_s else took_s
        self.at_s = now_s

    def is_due(self, now_s: float, all_took_s: float) -> bool:
        """Tell whether what waits is to be read now (Rule 4).

        ``all_took_s`` is how long all partitions took.
        """
        rest_s = READ_COST * self.took_s
        if self.is_behind:
            return now_s >= self.at_s + max(WAIT_AT_MOST_S, rest_s)
        return now_s >= self.at_s + min(rest_s, max(WAIT_AT_MOST_S, 2 * all_took_s))
