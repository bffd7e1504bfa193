from streams.codec import decode, encode
from streams.traffic.versions import MOST_NEW, NEW_ROWS, Versions


def news(versions: Versions, names: list[str | None]) -> list[bool]:
    """Let each name answer once; return which of them were new."""
    new = []
    for row, name in enumerate(names, 1):
        if name != versions.latest:
            versions.on_change(name, row)
        new.append(versions.due_row == row + NEW_ROWS)
    return new


# Rule 1


def test_the_first_version_is_no_news_another_one_is_and_going_back_is_not() -> None:
    assert news(Versions(), ["1", "1", "2", "2", "1", "2"]) == [False, False, True] + [False] * 3


def test_no_version_is_no_version() -> None:
    assert not any(news(Versions(), ["1", None, "1", None]))


def test_news_is_known_after_a_thousand_predictions() -> None:
    versions = Versions()
    news(versions, ["1", "2"])

    versions.advance(NEW_ROWS + 1)
    assert versions.due_row is not None
    versions.advance(NEW_ROWS + 2)

    assert versions.due_row is None


# Rule 2


def test_where_every_row_is_another_version_nothing_more_is_told() -> None:
    told = news(Versions(), [str(row) for row in range(1_000)])

    assert sum(told) == MOST_NEW


def test_a_restart_changes_nothing() -> None:
    versions = Versions()
    news(versions, ["1", "2"])

    again = decode(encode(versions), Versions)
    for each in (versions, again):
        news(each, ["1", "2"])

    assert again.due_row == 2 + NEW_ROWS
    assert encode(again) == encode(versions)
