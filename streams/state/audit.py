"""Compare the published records with those that a pure replay of the log calls for.

Rule 1. Each record that the log calls for, up to the commit, is published.
Rule 2. The log calls for each published record.
Rule 3. Records published under one id are the same, to the byte, with their headers; but for the
        fields that a publisher fills in (`schemas.edge`), where a topic has them.
        In a compacted topic, the last record of a key is the one that the log calls for last.
Rule 4. Every input up to its commit is in the log or among the dead letters.
Rule 5. The replay takes in each event of the log once, however often it is there. An event that
        stands behind a later one of its source would be passed over; a repetition must be.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields

import orjson

from schemas.cloudevents import NO_HEADERS, Headers
from schemas.edge import with_edge
from schemas.topics import TopicRole, Topics

_DIGEST_BYTES = 12
"""Bytes of a digest: of a billion records, two are taken for equal once in 10**11 audits."""


@dataclass(slots=True)
class Findings:
    """The result of an audit, for one topic.

    Attributes
    ----------
    expected
        Distinct records that the log calls for.
    missing
        Of these, not published although the commit covers them.
    pending
        Of these, not published yet: the commit does not cover them.
    unexpected
        Published, and nothing in the log calls for it.
    differing
        Published more than once, or otherwise than the log calls for it, with other bytes.
    repeated
        Published more than once with the same bytes, which is allowed.
    foreign
        Published by something else: not in the form of the topic's records.
    """

    expected: int = 0
    missing: int = 0
    pending: int = 0
    unexpected: int = 0
    differing: int = 0
    repeated: int = 0
    foreign: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether nothing speaks against the promise."""
        return not (self.missing or self.unexpected or self.differing or self.foreign)

    def add(self, other: "Findings") -> None:
        """Add the findings of another topic, for a total."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


class Audit:
    """The audit of one output topic: first all published records, then those called for.

    Parameters
    ----------
    id_field
        Field of its records that names a record.
    has_edge
        Whether its records end with the fields of the edge.
    """

    def __init__(self, id_field: str, *, has_edge: bool = False) -> None:
        self._id_field = id_field
        self._digest = _digest_of(has_edge=has_edge)
        self._published: dict[str, bytes] = {}
        self._called_for: set[str] = set()
        self.findings = Findings()

    def on_published(self, _key: str, value: bytes | None, headers: Headers = NO_HEADERS) -> bool:
        """Take a record of the topic; tell whether it has the form of ours."""
        value = value or b""
        name, digest = self._name(value), self._digest(value, headers)
        if name is None:
            self.findings.foreign += 1
            return False
        known = self._published.setdefault(name, digest)
        if known is not digest:
            self.findings.repeated += known == digest
            self.findings.differing += known != digest
        return True

    def on_called_for(
        self, _key: str, value: bytes, headers: Headers = NO_HEADERS, *, is_due: bool
    ) -> None:
        """Take a record that the replay emits; ``is_due``: the commit covers it."""
        name = self._name(value) or ""
        if name in self._called_for:
            self.findings.differing += 1
            return
        self._called_for.add(name)
        self.findings.expected += 1
        known = self._published.get(name)
        if known is None:
            self.findings.missing += is_due
            self.findings.pending += not is_due
        elif known != self._digest(value, headers):
            self.findings.differing += 1

    def close(self) -> Findings:
        """Return the findings, once both sides have been taken in full."""
        self.findings.unexpected = len(self._published.keys() - self._called_for)
        return self.findings

    def _name(self, value: bytes) -> str | None:
        """Return the name of a record; None for one that has another form."""
        try:
            name = orjson.loads(value)[self._id_field]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return name if isinstance(name, str) else None


class CompactedAudit:
    """The audit of a compacted topic: the last record of each key counts.

    While workers run, published records may be ahead of the commit: then any record that the log
    calls for from the commit on is right.

    Parameters
    ----------
    has_edge
        Whether its records end with the fields of the edge.
    """

    def __init__(self, *, has_edge: bool = False) -> None:
        self._digest = _digest_of(has_edge=has_edge)
        self._published: dict[str, bytes] = {}
        self._due: dict[str, bytes] = {}
        self._later: dict[str, set[bytes]] = {}
        self.findings = Findings()

    def on_published(self, key: str, value: bytes | None, headers: Headers = NO_HEADERS) -> bool:
        """Take a record of the topic; an empty value, or none, deletes. Any record may be ours."""
        self._published[key] = self._digest(value or b"", headers)
        return True

    def on_called_for(
        self, key: str, value: bytes, headers: Headers = NO_HEADERS, *, is_due: bool
    ) -> None:
        """Take a record that the replay emits; ``is_due``: the commit covers it."""
        if is_due:
            self._due[key] = self._digest(value, headers)
        else:
            self._later.setdefault(key, set()).add(self._digest(value, headers))

    def close(self) -> Findings:
        """Return the findings, once both sides have been taken in full."""
        found, nothing = self.findings, _digest(b"")
        for key in self._due.keys() | self._later.keys():
            found.expected += 1
            due, later = self._due.get(key, nothing), self._later.get(key, set())
            published = self._published.get(key, nothing)
            if published == due:
                found.pending += bool(later)
            elif published not in later:
                is_there = published != nothing
                found.differing += is_there
                found.missing += not is_there
        found.unexpected = sum(
            value != nothing and key not in self._due and key not in self._later
            for key, value in self._published.items()
        )
        return found


OutputAudits = dict[TopicRole, Audit | CompactedAudit]


def output_audits(topics: Topics) -> OutputAudits:
    """Return an empty audit of every topic that the monitor publishes to."""
    return {
        topic.role: CompactedAudit(has_edge=topic.has_edge)
        if topic.id_field is None
        else Audit(topic.id_field, has_edge=topic.has_edge)
        for topic in topics.outputs()
    }


class InputAudit:
    """The audit of the input topics (Rules 4 and 5).

    Attributes
    ----------
    inputs
        Events in the records of the input topics that the commits cover.
    lost
        Of these, neither in the log nor among the dead letters.
    repeated
        Events that are in the log again, which is allowed.
    passed_over
        Events that are in the log, and the replay has taken in none of their copies.
    taken_twice
        Events that the replay has taken in again.
    """

    def __init__(self) -> None:
        self._taken: dict[str, set[int]] = {}
        self.inputs = 0
        self.lost = 0
        self.repeated = 0
        self.passed_over = 0
        self.taken_twice = 0

    @property
    def is_equal(self) -> bool:
        """Whether nothing speaks against the promise."""
        return not (self.lost or self.passed_over or self.taken_twice)

    def on_taken(self, source: str, position: int) -> bool:
        """Take an input that is in the log or refused; tell whether it is there the first time."""
        taken = self._taken.setdefault(source, set())
        is_first = position not in taken
        taken.add(position)
        self.repeated += not is_first
        return is_first

    def on_replayed(self, events: int, taken: int) -> None:
        """Compare a partition of the log, by its different events, with what its models took in."""
        self.passed_over += max(0, events - taken)
        self.taken_twice += max(0, taken - events)

    def on_input(self, source: str, position: int) -> None:
        """Take an event of an input topic that the commit covers."""
        self.inputs += 1
        self.lost += position not in self._taken.get(source, ())


def _digest_of(*, has_edge: bool) -> Callable[..., bytes]:
    return _digest_without_edge if has_edge else _digest


def _digest_without_edge(value: bytes, headers: Headers = NO_HEADERS) -> bytes:
    return _digest(with_edge(value), headers)


def _digest(value: bytes, headers: Headers = NO_HEADERS) -> bytes:
    digest = hashlib.blake2b(value, digest_size=_DIGEST_BYTES)
    for name, given in headers:
        digest.update(b"\0%b=%b" % (name.encode(), given or b""))
    return digest.digest()
