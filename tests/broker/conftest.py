"""Deployments that are gone when their test is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.broker.deployment import Deployment

Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(prefix: str, tmp_path: Path) -> Iterator[Deploy]:
    """Make a deployment at a broker: ``deploy(broker, dead_letter_ratio="none")``."""
    with ExitStack() as stack:

        def make(broker: Broker, suffix: str = "", **settings: str) -> Deployment:
            deployment = Deployment(broker, prefix + suffix, tmp_path, **settings)
            return stack.enter_context(deployment).create_topics()

        yield make
