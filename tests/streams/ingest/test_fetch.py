from dataclasses import dataclass

import pytest

from streams.ingest.accept import accept
from streams.ingest.fetch import accept_all
from streams.ingest.records import Raw
from tests.doubles.inputs import PREDICTIONS, START_MS, prediction


@dataclass
class Fetched:
    """A record as a Kafka client returns it."""

    offset: int
    timestamp: int
    value: bytes | None
    key: bytes | None = None


NOW_MS = START_MS + 60_000
ODD = [
    b" " + prediction("p2"),
    prediction("p3", features={"a": 1}, unknown=True),
    b"{}",
    b"",
    None,
    prediction("p4", x="x" * 600),
]


@pytest.mark.parametrize("timestamp_ms", [START_MS, NOW_MS, NOW_MS + 1, 1_000, -1])
@pytest.mark.parametrize("odd", [[], *([each] for each in ODD), ODD])
def test_a_fetch_is_read_as_its_records_one_by_one(
    odd: list[bytes | None], timestamp_ms: int
) -> None:
    values = [prediction("p1", features={"a": 0.5}), *odd, prediction("p9", predicted_at=START_MS)]
    stamps = [START_MS, *[timestamp_ms] * len(odd), timestamp_ms]
    records = [Fetched(n, *each) for n, each in enumerate(zip(stamps, values, strict=True))]

    found = accept_all(PREDICTIONS, records, NOW_MS, 500)

    assert found == [
        each for record in records for each in accept_all(PREDICTIONS, [record], NOW_MS, 500)
    ]
    is_time = START_MS <= timestamp_ms < NOW_MS
    logged_at = timestamp_ms if is_time else START_MS if timestamp_ms == 1_000 else NOW_MS
    last = accept(Raw(PREDICTIONS, len(records) - 1, logged_at, values[-1]))
    assert (found[0], found[-1]) == (accept(Raw(PREDICTIONS, 0, START_MS, values[0])), last)
    assert accept_all(PREDICTIONS, [], NOW_MS, 500) == []
