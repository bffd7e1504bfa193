from __future__ import annotations

from pathlib import Path

import pytest

from agents.errors import FileError, OperatorError
from agents.notify.destinations import read_destination
from agents.notify.notify import PAGERDUTY_URL

KEY = "0123456789abcdef0123456789abcdef"
HOOK = "https://hooks.slack.com/services/T000/B000/blue-heron"


def test_an_address_is_taken_as_it_is() -> None:
    read = read_destination("webhook=http://127.0.0.1:8080/a?b=c", PAGERDUTY_URL)

    assert read.secret.get_secret_value() == "http://127.0.0.1:8080/a?b=c"
    assert read.name == "The webhook at http://127.0.0.1:8080"
    assert not read.is_exposed


def test_a_file_or_a_variable_may_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hook").write_text(f"{HOOK}\n")
    monkeypatch.setenv("HOOK", HOOK)

    texts = f"slack={tmp_path / 'hook'}", "slack=env:HOOK"
    for read in (read_destination(text, PAGERDUTY_URL) for text in texts):
        assert read.secret.get_secret_value() == HOOK
        assert read.name == "Slack at https://hooks.slack.com"
        assert not read.is_exposed


def test_a_pagerduty_key_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")

    read = read_destination(f"pagerduty={tmp_path / 'key'}", PAGERDUTY_URL)

    assert read.secret.get_secret_value() == KEY
    assert read.name == "PagerDuty at https://events.pagerduty.com"


@pytest.mark.parametrize(
    "text",
    [
        f"slack={HOOK}",
        "webhook=https://me:blue-heron@example.org/x",
        "webhook=https://example.org/x?token=blue-heron",
    ],
)
def test_a_secret_on_the_command_line_is_known_to_be_exposed(text: str) -> None:
    assert read_destination(text, PAGERDUTY_URL).is_exposed


def test_the_group_stays_when_the_secret_in_a_file_is_renewed(tmp_path: Path) -> None:
    for key in (KEY, KEY[::-1]):
        (tmp_path / key).mkdir()
    (tmp_path / "key").write_text(KEY)
    before = read_destination(f"pagerduty={tmp_path / 'key'}", PAGERDUTY_URL)
    (tmp_path / "key").write_text(KEY[::-1])

    after = read_destination(f"pagerduty={tmp_path / 'key'}", PAGERDUTY_URL)

    assert before.secret != after.secret
    assert before.label == after.label


def test_two_targets_of_one_kind_have_two_groups() -> None:
    one, other = (
        read_destination(f"webhook=http://{host}/", PAGERDUTY_URL) for host in ("one", "other")
    )

    assert one.label != other.label


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slak=http://x", "did you mean slack"),
        ("email=me", "KIND is one of alertmanager, webhook, slack, pagerduty"),
        ("slack", "write slack=URL"),
        ("pagerduty=", "write pagerduty=FILE"),
        ("pagerduty=https://events.pagerduty.com", "takes a file with the integration key"),
    ],
)
def test_what_is_no_target_is_refused_with_the_remedy(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_destination(text, PAGERDUTY_URL)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileError, match="--to pagerduty: no such file '/nowhere/key'"):
        read_destination("pagerduty=/nowhere/key", PAGERDUTY_URL)


def test_an_empty_or_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")

    with pytest.raises(FileError, match="empty' is empty"):
        read_destination(f"slack={tmp_path / 'empty'}", PAGERDUTY_URL)
    with pytest.raises(FileError, match="bytes' is not text"):
        read_destination(f"slack={tmp_path / 'bytes'}", PAGERDUTY_URL)
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        read_destination(f"slack={tmp_path}", PAGERDUTY_URL)


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(OperatorError, match="no variable 'TIDE_NO_SUCH'"):
        read_destination("slack=env:TIDE_NO_SUCH", PAGERDUTY_URL)


def test_a_key_of_another_length_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY[:-1])

    with pytest.raises(OperatorError, match="this one has 31 characters") as caught:
        read_destination(f"pagerduty={tmp_path / 'key'}", PAGERDUTY_URL)

    assert KEY[:-1] not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"pagerduty={KEY}",
        f"slack={HOOK.removeprefix('https://')}",
        f"webhook=http://{'b' * 70}:x/y",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(text: str) -> None:
    with pytest.raises((FileError, OperatorError)) as caught:
        read_destination(text, PAGERDUTY_URL)

    assert text.partition("=")[2] not in str(caught.value)


def test_a_destinations_repr_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)

    assert KEY not in repr(read_destination(f"pagerduty={tmp_path / 'key'}", PAGERDUTY_URL))
    assert "blue-heron" not in repr(read_destination(f"slack={HOOK}", PAGERDUTY_URL))
