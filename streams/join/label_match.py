"""Whether outcomes can equal answers: they are of one type, in one spelling, of the same classes.

A pair of which that is not so says nothing about the model: it is left out of the error.

Rule 1. Text never equals a number or a boolean. ``true`` equals 1, and ``false`` 0 (decision 30).
Rule 2. Once ``FIRST_PAIRS`` have shown the classes: a class that nobody has named before, but that
        is one of them in another spelling, is no class of its own.
Rule 3. Pairs one after the other that all name a class nobody has named before are no errors
        either, from the ``SUSPECT``-th on: another list of classes is in use. Alone, such a class
        is new, and known from there on.
Rule 4. The first ``FIRST_PAIRS`` are judged together: not one class of answers among the outcomes,
        though each side has several, or other spellings of the same ones.
Rule 5. It is told with the ``WINDOW``-th pair after the first, where more than half were so; it is
        over after as many of which at most half were.
Rule 6. A side with more than ``MAX_CLASSES`` has no list of classes: Rule 1 alone applies to it.
"""

import re
from collections.abc import Set
from typing import Literal, NamedTuple

from streams.codec import Machine
from streams.values import Answer

FIRST_PAIRS = 200
"""Pairs: as many as the first reference of a series is made from."""
WINDOW = 200
"""Pairs after which it is told: an hour of a model with three pairs a minute."""
MOST = 0.5
"""Share of a window from which it is told. By judgement: fewer are a fault of some producers."""
SUSPECT = 3
"""Pairs in a row: one new class in a hundred pairs comes thrice in a row once in a million."""
MAX_CLASSES = 64
"""Classes of a side: more are names or quantities. By judgement."""
_GAPS = re.compile(r"(?<=[^\W_])[\s_\-.]+(?=[^\W_])")
Reason = Literal["type", "spelling", "classes"]


class Mismatch(NamedTuple):
    """Pairs that cannot match.

    Parameters
    ----------
    share, rows
        Their share of the latest.
    reason
        Why they cannot.
    answer, outcome
        One example of each side.
    are_classes
        Whether they are classes; quantities are values of one row, and not for a sentence.
    were_errors
        Whether they were taken for errors until now.
    """

    share: float
    rows: int
    reason: Reason
    answer: Answer
    outcome: Answer
    are_classes: bool = True
    were_errors: bool = False


class LabelMatch(Machine):
    """Judges the pairs of one model, each by what the earlier ones have shown.

    Attributes
    ----------
    is_on
        Whether it is told that outcomes cannot match.
    is_quiet
        Whether a pair of classes that is equal changes nothing.
    is_counting
        Whether pairs that can match count, too.
    is_suspect
        Whether most of the latest pairs cannot match.
    """

    is_on: bool = False
    is_quiet: bool = False
    is_counting: bool = False
    is_suspect: bool = False
    _pairs: int = 0
    """Pairs that the classes were learnt from, up to ``FIRST_PAIRS``."""
    _answers: dict[Answer, None] = {}
    _outcomes: dict[Answer, None] = {}
    _is_open: bool = False
    _is_apart: bool = False
    """Whether the first pairs had no class on both sides (Rule 4)."""
    _run: int = 0
    """Pairs in a row that name a class nobody has named before."""
    _rows: int = 0
    """Pairs of the present window."""
    _hits: int = 0
    """Those of them that cannot match."""
    _reason: Reason = "type"
    _answer: Answer = ""
    _outcome: Answer = ""
    _are_classes: bool = True

    def on_pair(
        self, answer: Answer, outcome: Answer, *, are_classes: bool
    ) -> tuple[bool, Mismatch | None]:
        """Take in a pair.

        Parameters
        ----------
        are_classes
            Whether the two are classes, not quantities.

        Returns
        -------
        tuple[bool, Mismatch | None]
            Whether its outcome could equal its answer; the figures where it begins to be told with
            this pair that they cannot, or is over: `is_on` has changed then.
        """
        verdict = self._judge(answer, outcome, are_classes=are_classes)
        self.is_counting = self._rows > 0
        self.is_quiet = not self._rows and self._pairs >= FIRST_PAIRS and not self._run
        self.is_suspect = self.is_on or (self._hits >= SUSPECT and 2 * self._hits > self._rows)
        return verdict

    def _judge(
        self, answer: Answer, outcome: Answer, *, are_classes: bool
    ) -> tuple[bool, Mismatch | None]:
        was_learning = self._pairs < FIRST_PAIRS
        reason = self._reason_against(answer, outcome, are_classes=are_classes)
        if was_learning and self._pairs == FIRST_PAIRS and (unlike := self._unlike()):
            self._is_apart = self.is_on = True
            self._rows = self._hits = 0
            return False, Mismatch(1.0, FIRST_PAIRS, unlike, answer, outcome, were_errors=True)
        if reason is not None:
            if not self._hits:
                self._reason = reason
                self._answer, self._outcome, self._are_classes = answer, outcome, are_classes
            self._hits += 1
        self._rows += reason is not None or self._rows > 0 or self.is_on
        return reason is None, self._close_window() if self._rows >= WINDOW else None

    def _close_window(self) -> Mismatch | None:
        share, was_on = self._hits / self._rows, self.is_on
        mismatch = Mismatch(
            share, self._rows, self._reason, self._answer, self._outcome, self._are_classes
        )
        self._rows = self._hits = 0
        self.is_on = share > MOST
        if self.is_on == was_on:
            return None
        if not self.is_on and self._is_apart:
            self._is_apart, self._pairs = False, 0
            self._answers, self._outcomes = {}, {}
        return mismatch

    def _reason_against(
        self, answer: Answer, outcome: Answer, *, are_classes: bool
    ) -> Reason | None:
        if (type(answer) is str) != (type(outcome) is str):
            return "type"
        if not are_classes or self._is_open:
            return None
        if self._is_apart:
            is_shared = outcome in self._answers or answer in self._outcomes
            return None if is_shared else "classes"
        if self._pairs < FIRST_PAIRS:
            self._pairs += 1
            if answer not in self._answers or outcome not in self._outcomes:
                self._learn(answer, outcome)
            return None
        return self._reason_against_classes(answer, outcome)

    def _reason_against_classes(self, answer: Answer, outcome: Answer) -> Reason | None:
        """Judge a pair once the classes are known (Rules 2 and 3)."""
        known = self._answers.keys() | self._outcomes.keys()
        if answer in known and outcome in known:
            self._run = 0
            return None
        self._run += 1
        if _is_other_spelling(answer, known) or _is_other_spelling(outcome, known):
            return "spelling"
        if self._run >= SUSPECT:
            return "classes"
        self._learn(answer, outcome)
        return None

    def _learn(self, answer: Answer, outcome: Answer) -> None:
        self._answers[answer] = self._outcomes[outcome] = None
        if max(len(self._answers), len(self._outcomes)) > MAX_CLASSES:
            self._is_open, self._run = True, 0
            self._answers, self._outcomes = {}, {}

    def _unlike(self) -> Reason | None:
        """Return why none of the first pairs could match; None where one could (Rule 4)."""
        answers, outcomes = self._answers, self._outcomes
        if not answers or answers.keys() & outcomes.keys():
            return None
        if set(map(spelling, answers)) & set(map(spelling, outcomes)):
            return "spelling"
        return "classes" if min(len(answers), len(outcomes)) > 1 else None


def _is_other_spelling(given: Answer, known: Set[Answer]) -> bool:
    if not isinstance(given, str) or given in known:
        return False
    return [spelling(each) for each in known].count(spelling(given)) == 1


def spelling(value: Answer) -> Answer:
    """Return a class as it is, however it is written.

    Examples
    --------
    >>> spelling("Credit_Card ") == spelling("credit card"), spelling("-1") == spelling("1")
    (True, False)
    """
    return _GAPS.sub(" ", value.strip().casefold()) if isinstance(value, str) else value
