"""Put a worker together and run it."""

import asyncio
import time

from agents.app import build_app, run_worker
from agents.hop import Hop
from agents.ingest import Clock, Ingest
from agents.logreader import LogReader
from agents.memory import calm_collector
from agents.monitor import MonitorHop
from agents.publish import Publisher
from agents.settings import Settings
from agents.state import Reader, Sender, StateKeeper
from agents.telemetry import get_logger
from agents.topics import input_incarnations
from schemas.model_spec import ModelSpec
from streams.ingest import DeadLetterLimit
from streams.order import TimeMerge

_log = get_logger(__name__)


def work(settings: Settings) -> int:
    """Run a worker until it is told to stop; return the exit code."""
    calm_collector()
    _log.info(
        f"Starting a worker of group {settings.group} at {settings.broker}",
        role=settings.role,
        prefix=settings.prefix,
    )
    publisher = Publisher(settings.connection())
    hops: list[Hop] = []
    if settings.role in {"ingest", "both"}:
        hops.append(ingest_hop(settings, publisher))
    if settings.role in {"monitor", "both"}:
        hops.append(monitor_hop(settings, publisher, LogReader(settings.connection()), time.time))
    return run_worker(build_app(settings, hops, publisher))


def ingest_hop(settings: Settings, sender: Sender) -> Ingest:
    """Return the ingest of a worker that publishes through ``sender``."""
    return Ingest(
        settings.topics,
        sender,
        TimeMerge(settings.idle_s),
        DeadLetterLimit(settings.dead_letter_ratio, settings.dead_letter_window),
        time.time,
        incarnations=lambda: asyncio.to_thread(input_incarnations, settings),
        max_payload_bytes=settings.max_payload_bytes,
    )


def monitor_hop(settings: Settings, sender: Sender, reader: Reader, clock: Clock) -> MonitorHop:
    """Return the monitor of a worker; ``clock`` says when to save."""
    keeper = StateKeeper(settings.topics, sender, reader, lambda _model_id: ModelSpec())
    return MonitorHop(settings.topics, sender, keeper, clock, settings.save_every_s)
