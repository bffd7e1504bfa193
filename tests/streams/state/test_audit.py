"""The audit itself must be able to fail."""

import orjson
import pytest

from schemas.edge import with_edge
from schemas.topics import TopicRole, Topics
from streams.state.audit import Audit, CompactedAudit, Findings, InputAudit, output_audits
from tests.doubles.topics import ECHOES, WithEchoes


def row(name: str, **fields: object) -> bytes:
    return orjson.dumps({"labelled_id": name} | fields)


def audited(published: list[bytes], called_for: list[bytes], *, is_due: bool = True) -> Audit:
    audit = Audit("labelled_id")
    for value in published:
        audit.on_published("m", value)
    for value in called_for:
        audit.on_called_for("m", value, is_due=is_due)
    audit.close()
    return audit


def replayed(in_log: list[int], taken: int) -> InputAudit:
    audit = InputAudit()
    events = sum(audit.on_taken("predictions/0", offset) for offset in in_log)
    audit.on_replayed(events, taken)
    return audit


def test_what_is_published_as_called_for_is_equal() -> None:
    findings = audited([row("a"), row("b"), row("a")], [row("a"), row("b")]).findings

    assert findings.is_equal
    assert (findings.expected, findings.repeated) == (2, 1)


def test_what_is_not_published_is_missing_once_a_commit_covers_it() -> None:
    due = audited([row("a")], [row("a"), row("b")]).findings
    pending = audited([row("a")], [row("a"), row("b")], is_due=False).findings

    assert (due.missing, due.pending, due.is_equal) == (1, 0, False)
    assert (pending.missing, pending.pending, pending.is_equal) == (0, 1, True)


def test_what_the_log_does_not_call_for_is_unexpected() -> None:
    findings = audited([row("a"), row("b")], [row("a")]).findings

    assert (findings.unexpected, findings.is_equal) == (1, False)


def test_other_bytes_differ_among_the_published_and_from_what_is_called_for() -> None:
    repeated = audited([row("a", error=1), row("a", error=2)], [row("a", error=1)]).findings
    other = audited([row("a", error=2)], [row("a", error=1)]).findings

    assert (repeated.differing, repeated.is_equal) == (1, False)
    assert (other.differing, other.is_equal) == (1, False)


def test_two_records_that_are_called_for_under_one_id_differ() -> None:
    findings = audited([row("a")], [row("a"), row("a")]).findings

    assert (findings.differing, findings.is_equal) == (1, False)


def test_an_input_that_is_nowhere_is_lost() -> None:
    audit = InputAudit()
    audit.on_taken("predictions/0", 0)
    for offset in range(2):
        audit.on_input("predictions/0", offset)

    assert (audit.inputs, audit.lost, audit.is_equal) == (2, 1, False)


def test_what_is_in_the_log_again_is_taken_in_once() -> None:
    audit = replayed([0, 1, 0, 1, 2], 3)

    assert audit.is_equal
    assert audit.repeated == 2


def test_what_the_replay_passes_over_is_found() -> None:
    audit = replayed([0, 2, 1], 2)

    assert (audit.passed_over, audit.is_equal) == (1, False)


def test_what_the_replay_takes_in_twice_is_found() -> None:
    audit = replayed([0, 1, 0], 3)

    assert (audit.taken_twice, audit.is_equal) == (1, False)


def status_audited(
    published: list[tuple[str, bytes | None]],
    due: list[tuple[str, bytes]],
    later: list[tuple[str, bytes]],
) -> Findings:
    audit = CompactedAudit()
    for key, value in published:
        audit.on_published(key, value)
    for is_due, words in ((True, due), (False, later)):
        for key, word in words:
            audit.on_called_for(key, word, is_due=is_due)
    return audit.close()


def test_of_a_compacted_topic_only_the_last_word_on_a_key_counts() -> None:
    words = [("a", b"1"), ("a", b"2"), ("b", b"1"), ("b", b"")]

    right = status_audited([*words[:3], ("b", None)], words, [])
    compacted = status_audited([("a", b"2")], words, [])

    assert right.is_equal
    assert compacted.is_equal
    assert (right.expected, compacted.expected) == (2, 2)


def test_an_older_word_after_a_newer_one_differs() -> None:
    words = [("a", b"1"), ("a", b"")]

    assert status_audited([("a", b"1"), ("a", None), ("a", b"1")], words, []).differing == 1


def test_a_word_that_is_not_there_is_missing_and_one_too_many_unexpected() -> None:
    missing = status_audited([], [("a", b"1")], [])
    unexpected = status_audited([("b", b"1"), ("c", None)], [], [])

    assert (missing.missing, missing.is_equal) == (1, False)
    assert (unexpected.unexpected, unexpected.is_equal) == (1, False)


def test_beyond_the_commit_any_word_that_is_called_for_is_right() -> None:
    due, later = [("a", b"1")], [("a", b"2"), ("a", b"3")]

    assert status_audited([("a", b"1")], due, later).pending == 1
    assert status_audited([("a", b"2")], due, later).is_equal
    assert status_audited([("a", b"0")], due, later).differing == 1


# Which topics are compared


def test_an_output_topic_is_compared_once_it_is_a_row_of_the_table() -> None:
    audits = output_audits(WithEchoes())
    audits[ECHOES].on_called_for("m", orjson.dumps({"echo_id": "r1"}), is_due=True)

    assert audits.keys() == {*output_audits(Topics()), ECHOES}
    assert audits[ECHOES].close().missing == 1


def test_every_topic_that_the_monitor_publishes_to_is_compared_and_no_other() -> None:
    audits = output_audits(Topics())

    assert audits.keys() == {topic.role for topic in Topics().outputs()}
    assert [r for r, audit in audits.items() if isinstance(audit, CompactedAudit)] == [
        "status",
        "commands",
        "reviews",
        "metrics",
    ]


@pytest.mark.parametrize(
    "value", [None, b"", b"hello", b"[]", b"null", b"{}", b'{"alert_id":7}', b"\xff"]
)
def test_a_record_of_a_stranger_is_a_finding(value: bytes | None) -> None:
    audit = Audit("alert_id")
    audit.on_called_for("m", b'{"alert_id":"a"}', is_due=True)

    is_ours = [audit.on_published("m", each) for each in (b'{"alert_id":"a"}', value)]

    assert is_ours == [True, False]
    assert audit.close().foreign == 1
    assert not audit.findings.is_equal


@pytest.mark.parametrize("role", ["alerts", "status"])
def test_what_publishers_fill_in_is_no_difference_and_all_else_is(role: TopicRole) -> None:
    alert = b'{"alert_id":"a","value":%b,"deployment":null,"url":null}'
    made = alert if role == "alerts" else b'{"fingerprint":"f","alert":' + alert + b"}"
    audits, others = output_audits(Topics()), output_audits(Topics())
    for deployment in ("staging", 'a"b\\'):
        audits[role].on_published("f", with_edge(made % b"1.0", deployment, None))
        others[role].on_published("f", with_edge(made % b"2.0", deployment, None))
    for each in (audits, others):
        each[role].on_called_for("f", made % b"1.0", is_due=True)

    assert audits[role].close().is_equal
    assert not others[role].close().is_equal


def test_a_topic_without_such_fields_is_compared_as_it_is() -> None:
    made = b'{"labelled_id":"a","deployment":%b,"url":null}'

    findings = audited([made % b'"x"'], [made % b"null"]).findings

    assert findings.differing == 1
