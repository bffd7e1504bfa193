"""Records as other systems publish them become events with one map each."""

import pytest

from tests.doubles.shapes import Shape, events_of, shapes, sources_of

MAPPED = [shape for shape in shapes().values() if shape.sources is not None]
SKIPPED = {"debezium-delete", "tombstone", "outcome-null-yet"}


@pytest.mark.parametrize("shape", MAPPED, ids=lambda shape: shape.name)
def test_a_record_becomes_the_events_of_its_map(shape: Shape) -> None:
    assert events_of(sources_of(shape), "t", shape) == shape.becomes


def test_nearly_every_shape_has_a_map_and_the_others_say_why() -> None:
    others = [shape for shape in shapes().values() if shape.sources is None]

    assert (len(MAPPED), len(others)) == (32, 4)
    assert all(shape.not_mapped for shape in others)


def test_only_what_holds_no_truth_becomes_nothing() -> None:
    assert {shape.name for shape in MAPPED if not shape.becomes} == SKIPPED
