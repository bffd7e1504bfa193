from streams.codec import decode, encode
from streams.series.repeat_limit import RepeatLimit


def test_each_repetition_of_a_fact_waits_twice_as_long() -> None:
    limit = RepeatLimit(10)

    assert [row for row in range(100) if limit.lets_through(row)] == [0, 10, 30, 70]


def test_a_silent_limit_passes_nothing() -> None:
    assert not RepeatLimit.silent().lets_through(10**15)


def test_a_restart_does_not_shorten_the_wait() -> None:
    limit = RepeatLimit(10)
    limit.lets_through(5)

    restored = decode(encode(limit), RepeatLimit)

    assert [row for row in range(6, 100) if restored.lets_through(row)] == [15, 35, 75]
