"""The wire's bytes are held: a consumer written today must read what is published tomorrow."""

import pytest

from tests.golden.examples import golden
from tests.golden.story import STORY, told
from tests.regenerate import COMMAND, ROOT

GOLDEN = golden()


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_what_is_published_has_the_bytes_it_always_had(name: str) -> None:
    kept = (ROOT / "tests" / "golden" / name).read_bytes()

    assert GOLDEN[name] == kept, f"the wire has changed; if that is meant: {COMMAND}"


def test_the_story_has_the_alerts_it_always_had() -> None:
    assert told() == STORY, f"alerts have changed; if that is meant: {COMMAND}"
