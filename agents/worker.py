"""Put a worker together and run it."""

import asyncio
import time

from agents.app import build_app, run_worker
from agents.hop import Hop
from agents.ingest import Ingest
from agents.logreader import LogReader
from agents.monitor import MonitorHop
from agents.publish import Publisher
from agents.settings import Settings
from agents.state import StateKeeper
from agents.topics import input_incarnations
from schemas.model_spec import ModelSpec
from streams.ingest import DeadLetterLimit
from streams.order import TimeMerge


def work(settings: Settings) -> int:
    """Run a worker until it is told to stop; return the exit code."""
    publisher = Publisher(settings.connection())
    hops: list[Hop] = []
    if settings.role in {"ingest", "both"}:
        hops.append(
            Ingest(
                settings.topics,
                publisher,
                TimeMerge(settings.idle_s),
                DeadLetterLimit(settings.dead_letter_ratio, settings.dead_letter_window),
                time.time,
                incarnations=lambda: asyncio.to_thread(input_incarnations, settings),
                max_payload_bytes=settings.max_payload_bytes,
            )
        )
    if settings.role in {"monitor", "both"}:
        reader = LogReader(settings.connection())
        keeper = StateKeeper(settings.topics, publisher, reader, lambda _model_id: ModelSpec())
        hops.append(
            MonitorHop(settings.topics, publisher, keeper, time.time, settings.save_every_s)
        )
    return run_worker(build_app(settings, hops, publisher))
