"""Prometheus' own server scrapes a worker; the rules and the board that are shipped suit it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import isnan
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from prometheus_client import Metric
from pydantic import SecretStr

from agents.demo.embedded_broker import EmbeddedBroker, free_port
from agents.notify.http import HttpSender
from agents.notify.notify import sender_figures
from agents.prometheus import MODEL_TEXTS, ModelRow, metrics_served, model_families
from agents.settings import load_settings
from tests.broker import publish
from tests.broker.conftest import Deploy
from tests.broker.deployment import until
from tests.broker.services import Service
from tests.prometheus import FOLDER, RealPrometheus, require_prometheus

BOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "boards" / "tidegauge.json"
SERVICE = Service(model_id="pricing", rows=300, changed_from=300)
FIGURES = {"said_error": 0.1, "completeness": 0.9, "money_lost_per_day": 3.5}
RATE_WINDOW = "10s"
"""In place of Grafana's own, which is four times its interval of scrapes."""


@pytest.fixture(autouse=True)
def prometheus_is_there() -> None:
    require_prometheus()


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the title of each panel of the board, and each of its queries."""
    for panel in orjson.loads(BOARD.read_bytes())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", RATE_WINDOW)


def test_promtool_finds_no_fault_in_configuration_and_rules() -> None:
    for what in (["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]):
        done = subprocess.run(
            ["promtool", *what],  # noqa: S607 - the one on the PATH
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_has_a_title_a_place_and_a_description() -> None:
    panels: list[dict[str, Any]] = orjson.loads(BOARD.read_bytes())["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    shown = [panel for panel in panels if panel["type"] != "row"]
    assert all(panel["title"] and panel["description"] and panel["targets"] for panel in shown)
    assert all(panel["datasource"]["uid"] == "prometheus" for panel in shown)


@asynccontextmanager
async def others_served() -> AsyncIterator[dict[str, list[str]]]:
    """Serve what the page and notify would; yield their addresses by job."""
    rows = [ModelRow(f"m{n}", 0, n, FIGURES | {"estimated_minus_realised": 0.01}) for n in range(3)]
    senders: dict[str, HttpSender] = {}

    def page() -> Iterable[Metric]:
        return model_families(rows, MODEL_TEXTS, most=2)

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        senders["slack-1"] = HttpSender(session, "Slack", SecretStr("x"))
        found = {}
        for job, collect in (("page", page), ("notify", lambda: sender_figures(senders))):
            port = free_port()
            settings = load_settings(prometheus_port=port)
            await stack.enter_async_context(metrics_served(settings, collect))
            found[f"tidegauge-{job}"] = [f"127.0.0.1:{port}"]
        yield found


async def test_prometheus_reads_a_worker_and_every_panel_shows_something(
    embedded: EmbeddedBroker, deploy: Deploy
) -> None:
    port = free_port()
    deployment = deploy(embedded)
    worker = deployment.start_worker(prometheus_port=str(port))
    sent = list(SERVICE.sent())
    for kind in ("prediction", "outcome"):
        values = [each.payload for each in sent if each.kind == kind]
        publish(embedded, deployment.topic(kind), [*values, b"{"], partition=0)
    async with others_served() as others:
        targets = others | {"tidegauge-worker": [f"127.0.0.1:{port}"]}
        with await asyncio.to_thread(RealPrometheus(targets).__enter__) as prometheus:

            def missing() -> list[str]:
                worker.check()
                return [title for title, query in expressions() if not prometheus.query(query)]

            def is_complete() -> bool:
                is_joined = prometheus.value("sum(tidegauge_pairs_total)") == SERVICE.rows
                is_saved = prometheus.value("sum(tidegauge_state_bytes)") > 1_000
                return is_joined and is_saved and not missing()

            await asyncio.to_thread(until, is_complete, lambda: f"data in the panels {missing()}")
            ask = prometheus.value
            assert ask('sum(tidegauge_dead_letters_total{reason="not_json"})') == 2
            assert ask("max(tidegauge_applied_lag_records)") == 0
            assert ask("max(tidegauge_applied_lag_seconds)") == 0
            assert ask("max(tidegauge_tick_age_seconds)") < 60
            assert ask('tidegauge_said_error{model="(other)"}') == 0.1
            assert isnan(ask('ALERTS{alertstate="firing"}')), "a healthy worker calls nobody"
