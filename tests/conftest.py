"""The two brokers, each started once, a topic prefix for every test, and the order of the tests."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, settings

from agents.demo.embedded_broker import EmbeddedBroker
from tests.broker import Broker
from tests.kafka import RealKafka, missing_tools

YOUNG_OBJECTS = 3_000_000
"""Objects allocated between two collections. Stories of tests are many objects without cycles: at
300,000 collections took a tenth of the time of pure tests."""
gc.set_threshold(YOUNG_OBJECTS)

# How long an example takes is a measure of the machine and of its other users, not of the test.
settings.register_profile(
    "default",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("fuzz", settings.get_profile("default"), max_examples=1_000)
settings.register_profile("long", settings.get_profile("default"), max_examples=25_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--order-seed",
        type=int,
        metavar="N",
        help="run the tests in a random order, the same for the same N",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the tests if a seed is given, after pytest has grouped those that share a fixture."""
    seed = config.getoption("order_seed")
    if seed is not None:
        random.Random(seed).shuffle(items)  # noqa: S311 - an order, not a secret


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, also where the shell has a background job ignore it.

    A process that ignores a signal hands that down to its children; a handler it does not.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep the collector from visiting what was imported."""
    gc.freeze()


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def require_kafka() -> None:
    """Skip where Apache Kafka cannot run, or fail where it must."""
    missing = missing_tools()
    if not missing:
        return
    reason = f"real Apache Kafka needs {' and '.join(missing)} on the PATH"
    if os.environ.get("CI") == "true" or os.environ.get("TIDEGAUGE_REQUIRE_KAFKA") == "1":
        pytest.fail(f"{reason}, and this run must not skip it (CI or TIDEGAUGE_REQUIRE_KAFKA)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kafka() -> Iterator[RealKafka]:
    require_kafka()
    with RealKafka() as broker:
        yield broker


@pytest.fixture(params=["embedded", "kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    started: Broker = request.getfixturevalue(request.param)
    return started


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """What this test's topics and groups begin with, so that one broker serves all tests."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", request.node.name)[:40]
    return f"{name}.{sha256(request.node.nodeid.encode()).hexdigest()[:8]}."
