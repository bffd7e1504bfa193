from streams.codec import encode
from tests.doubles.series import kind_of, new_watch


def test_a_column_of_ids_is_described_and_not_watched() -> None:
    watch = new_watch()

    assert watch.update([f"id {row}" for row in range(20_000)]) == []
    assert kind_of(watch) == "names"
    assert len(encode(watch)) < 2_000
