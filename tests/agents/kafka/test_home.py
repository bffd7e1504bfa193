from __future__ import annotations

import pytest

from agents.kafka.home import home_of


# The values of Kafka's own test of its partitioner (UtilsTest.testMurmur2).
@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("abc", 479470107),
    ],
)
def test_a_key_has_the_partition_that_javas_client_gives_it(key: str, murmur2: int) -> None:
    assert home_of(key, 1_009) == (murmur2 & 0x7FFF_FFFF) % 1_009
