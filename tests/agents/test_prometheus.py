from __future__ import annotations

import socket
from collections.abc import Iterable

import aiohttp
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from agents.demo.embedded_broker import free_port
from agents.errors import OperatorError
from agents.prometheus import (
    MOST_MODELS,
    OTHER,
    ModelRow,
    family,
    metrics_served,
    model_families,
)
from agents.settings import load_settings

TEXTS = {"said_error": "The error said.", "completeness": "Share of the labels known."}


def values(found: Metric) -> dict[str, float]:
    return {each.labels.get("model", ""): each.value for each in found.samples}


def test_100_000_junk_names_of_models_stay_under_the_cap() -> None:
    junk = [ModelRow(f"junk-{n}", 0, n, {"said_error": 0.25}) for n in range(100_000)]
    quiet = ModelRow("loan", 1, 0, {"said_error": 0.5, "completeness": 1.0})

    error, completeness, folded = model_families([*junk, quiet], TEXTS)

    assert len(error.samples) == MOST_MODELS + 1
    assert values(error)["loan"] == 0.5, "an open alert comes before traffic"
    assert "junk-99999" in values(error)
    assert values(error)[OTHER] == 0.25
    assert values(completeness) == {"loan": 1.0}, "where nothing is known nothing is said"
    assert values(folded) == {"": 100_001 - MOST_MODELS}


def test_few_models_leave_none_under_other() -> None:
    error, _, folded = model_families([ModelRow("a", 0, 1, {"said_error": 0.1})], TEXTS)

    assert values(error) == {"a": 0.1}
    assert values(folded) == {"": 0}


async def fetch(port: int) -> tuple[dict[str, float], str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = await answer.text()
        found = text_string_to_metric_families(text)
        samples = {sample.name: sample.value for each in found for sample in each.samples}
        return samples, answer.headers["Content-Type"]


async def test_figures_are_read_when_they_are_asked_for_and_kept_for_a_second() -> None:
    port, asked = free_port(), 0

    def collect() -> Iterable[Metric]:
        nonlocal asked
        asked += 1
        yield family("gauge", "models", 'A "name"\nof two lines.', {("a\nb",): asked}, ["model"])

    async with metrics_served(load_settings(prometheus_port=port), collect):
        (first, kind), (second, _) = await fetch(port), await fetch(port)

    assert first["tidegauge_models"] == second["tidegauge_models"] == asked == 1
    assert first["process_resident_memory_bytes"] > 1_000_000
    assert kind.startswith("text/plain; version=0.0.4")


async def test_no_port_is_open_unless_it_is_set() -> None:
    assert load_settings().prometheus_port is None
    assert load_settings().prometheus_host == "127.0.0.1"

    async with metrics_served(load_settings(), tuple):
        pass


async def test_a_port_in_use_is_named_with_its_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OperatorError, match=r"TIDEGAUGE_PROMETHEUS_PORT.*choose a free port"):
            async with metrics_served(load_settings(prometheus_port=port), tuple):
                pass
