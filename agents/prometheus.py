"""The figures of a process at ``/metrics``, in the text format of Prometheus.

Rule 1. Figures are read from the process when Prometheus asks. Nothing is counted for them where
        events pass.
Rule 2. Labels come from fixed sets: partitions, reasons, severities, kinds. The names of models
        come from outside: at most `MOST_MODELS` have series of their own (`model_families`).
Rule 3. The answer holds no feature value, no secret and no text of an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal, NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector

from agents.errors import OperatorError
from agents.settings import Settings
from agents.telemetry import get_logger

MOST_MODELS = 200
"""Models with series of their own: with ten figures each, 2,000 series a page. By judgement: a
board shows fewer, and a Prometheus of the smallest size holds a hundred times as many."""
MODEL_TEXTS = {
    "said_error": "Error of the latest cohort that is expected once all labels are known.",
    "completeness": "Share of the labels of that cohort that are known.",
    "money_lost_per_day": "Money that its costliest open alert loses a day, in its currency.",
    "estimated_minus_realised": "Error estimated without labels, less the one that came.",
}
"""The figures of a model, by name: what the board in deploy/grafana shows."""
OTHER = "(other)"
"""The value of the label ``model`` that stands for all further models."""
_KEPT_S = 1.0
"""Seconds for which an answer is given again: many scrapers cost as much as one."""
Collect = Callable[[], Iterable[Metric]]
"""Reads the figures of a process."""
Labels = tuple[str, ...]
_log = get_logger(__name__)


def family(
    kind: Literal["counter", "gauge"],
    name: str,
    text: str,
    samples: Mapping[Labels, float],
    labels: Sequence[str] = (),
) -> Metric:
    """Return a figure and its values.

    Parameters
    ----------
    kind, name, text
        Its type; its name without ``tidegauge_``, and for a counter without ``_total``; its help.
    samples
        The values, by the values of the labels.
    labels
        The names of the labels.

    Examples
    --------
    >>> family("gauge", "models", "Models.", {("eu",): 3.0}, ["region"]).samples[0].value
    3.0
    """
    found = Metric(f"tidegauge_{name}", text, kind)
    sample = found.name + ("_total" if kind == "counter" else "")
    for values, value in samples.items():
        found.add_sample(sample, dict(zip(labels, values, strict=True)), value)
    return found


class ModelRow(NamedTuple):
    """The figures of one model.

    Parameters
    ----------
    model_id
        The model.
    open_alerts, predictions
        What ranks it: models with open alerts come first, then those with most traffic.
    figures
        The values by name; one that is not known is left out.
    """

    model_id: str
    open_alerts: int
    predictions: int
    figures: Mapping[str, float]


def model_families(
    rows: Iterable[ModelRow], texts: Mapping[str, str], most: int = MOST_MODELS
) -> list[Metric]:
    """Return the figures of models; ``(other)`` has the mean of each over all further models.

    Parameters
    ----------
    rows
        One for each model, any number.
    texts
        The help of each figure, by name.
    most
        Models that have series of their own.
    """
    ranked = sorted(rows, key=lambda row: (-row.open_alerts, -row.predictions, row.model_id))
    shown, folded = ranked[:most], ranked[most:]
    families = []
    for name, text in texts.items():
        values: dict[Labels, float] = {
            (row.model_id,): row.figures[name] for row in shown if name in row.figures
        }
        rest = [row.figures[name] for row in folded if name in row.figures]
        if rest:
            values[OTHER,] = sum(rest) / len(rest)
        families.append(family("gauge", name, text, values, ["model"]))
    text = f"Models that stand together under model={OTHER!r}, as a mean."
    return [*families, family("gauge", "folded_models", text, {(): len(folded)})]


class _Figures:
    """One answer, for as long as it is new enough."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._answer = b""
        self._until_s = 0.0

    def collect(self) -> Iterable[Metric]:
        """Read the figures, for the registry."""
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        """Name none when registered: the process is not ready to be read then."""
        return ()

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer a request."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._until_s:
            self._answer = generate_latest(self._registry)
            self._until_s = now_s + _KEPT_S
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        return web.Response(body=self._answer, headers=headers)


def metrics_route(collect: Collect) -> web.RouteDef:
    """Return the route ``/metrics``, for a process that has a server already."""
    return web.get("/metrics", _Figures(collect).answer)


@asynccontextmanager
async def metrics_served(settings: Settings, collect: Collect) -> AsyncIterator[None]:
    """Serve ``/metrics`` in the block, where a port is set.

    Raises
    ------
    OperatorError
        When the address cannot be used.
    """
    if settings.prometheus_port is None:
        yield
        return
    host, port = settings.prometheus_host, settings.prometheus_port
    app = web.Application()
    app.router.add_routes([metrics_route(collect)])
    name = f"prometheus_port (TIDEGAUGE_PROMETHEUS_PORT) = {port}"
    async with served(app, host, port, name):
        _log.info(f"Figures for Prometheus are at http://{host}:{port}/metrics")
        yield


@asynccontextmanager
async def served(app: web.Application, host: str, port: int, name: str) -> AsyncIterator[None]:
    """Serve an application in the block.

    Parameters
    ----------
    name
        The setting or flag that gave the address, for messages.

    Raises
    ------
    OperatorError
        When the address cannot be used.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise OperatorError(
                f"{name}: {host}:{port} cannot be used ({error.strerror}): choose a free port for "
                "each process, and an address of this machine"
            ) from error
        yield
    finally:
        await runner.cleanup()
