"""Build a worker and run it."""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Sequence
from functools import partial

from mode.supervisors import CrashingSupervisor

from agents.kafka.admin import input_incarnations, input_partitions
from agents.kafka.read import LogReader
from agents.settings import Settings
from agents.sources import mapped_topics, registry_of
from agents.telemetry import get_logger
from agents.worker.agent import Agent, Partitions
from agents.worker.app import PartitionsFactory, WorkerApp
from agents.worker.assignor import assignor_of
from agents.worker.clock import CheckedClock, Clock
from agents.worker.edge import Edge
from agents.worker.faust_bridge import FaustBridge
from agents.worker.figures import worker_figures
from agents.worker.ingest import IngestAgent
from agents.worker.intake import Intake
from agents.worker.monitor import MonitorAgent
from agents.worker.publish import Publisher
from agents.worker.run import run_worker
from agents.worker.state import Reader, Sender, StateKeeper
from agents.worker.transport import BatchTransport
from schemas.model_spec import ModelSpec
from streams.ingest.dead_letter import DeadLetterLimit
from streams.ingest.merge import TimeMerge
from streams.monitor import Limits
from streams.series.profile_check import check_profile


def build_app(
    settings: Settings,
    agents: Sequence[Agent],
    publisher: Publisher,
    make_partitions: PartitionsFactory = Partitions,
) -> WorkerApp:
    """Return the worker's app; nothing is connected before it runs.

    Parameters
    ----------
    settings
        Checked settings.
    agents
        The agents of the worker.
    publisher
        Publishes for the agents; the app starts and stops it.
    make_partitions
        Makes the partitions that the agents use.
    """
    app = WorkerApp(
        settings,
        agents,
        publisher,
        make_partitions,
        broker=[f"kafka://{address}" for address in settings.brokers],
        # Faust must not read settings of its own from the environment.
        env={},
        autodiscover=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        agent_supervisor=CrashingSupervisor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        PartitionAssignor=assignor_of(settings),
        stream_buffer_maxsize=16,
        # True would wait for ever at a rebalance: no message is acknowledged to Faust.
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.group_instance,
        broker_client_id="tidegauge",
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 5,
        broker_rebalance_timeout=max(20.0, 2 * settings.session_timeout_s),
        broker_request_timeout=max(40.0, 2 * settings.session_timeout_s),
        # A worker without partitions would leave the group after this long, and never rejoin.
        broker_max_poll_interval=1e6,
        # Faust warns after so many seconds without a commit of its own; it never commits here.
        broker_commit_livelock_soft_timeout=1e9,
        stream_processing_timeout=1e9,
    )
    app.transport = BatchTransport(app, settings.connection())
    FaustBridge(app)
    return app


YOUNG_OBJECTS = 300_000
"""Objects allocated between two collections. Values that wait to be read are fewer, and are freed
before a collection looks at them."""


def tune_gc() -> None:
    """Let the cycle collector run rarely: waiting predictions are many, long-lived and acyclic.

    With Python's defaults it took half the time of a monitor with 1,000,000 waiting predictions,
    and six sevenths of the time to restore them (benchmarks.restart).
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)


_log = get_logger(__name__)


def work(settings: Settings) -> int:
    """Run a worker until a signal stops it; return the exit code."""
    tune_gc()
    _log.info(
        f"Starting a worker of group {settings.group} at {settings.broker}",
        role=settings.role,
        prefix=settings.prefix,
    )
    clock = CheckedClock(time.time, time.monotonic, settings.clock_tolerance_s)
    publisher = Publisher(settings.connection(), on_append=clock.note)
    agents: list[Agent] = []
    if settings.role in {"ingest", "both"}:
        agents.append(ingest_agent(settings, publisher, clock))
    if settings.role in {"monitor", "both"}:
        agents.append(monitor_agent(settings, publisher, LogReader(settings), time.monotonic))
    figures = worker_figures(agents, time.time)
    return run_worker(build_app(settings, agents, publisher), collect=figures)


def limits_of(settings: Settings) -> Limits:
    """Return the limits of the models."""
    return Limits(settings.max_models, settings.forget_after_s)


def ingest_agent(settings: Settings, sender: Sender, clock: CheckedClock) -> IngestAgent:
    """Return the ingest agent of a worker that publishes through ``sender``.

    ``clock`` learns the broker's clock from the acknowledgements of that.
    """
    return IngestAgent(
        settings.topics,
        sender,
        TimeMerge(settings.idle_s),
        DeadLetterLimit(settings.dead_letter_ratio, settings.dead_letter_window),
        clock,
        incarnations=partial(input_incarnations, settings),
        max_payload_bytes=settings.max_payload_bytes,
        check_profile=check_profile,
        worker_id=uuid.uuid4().hex,
        intake=_intake(settings),
        counts=partial(input_partitions, settings) if settings.inputs_by_model else None,
    )


def _intake(settings: Settings) -> Intake:
    """Return the topics of other systems that the worker reads."""
    sources = settings.source_map
    if sources is None:
        return Intake()
    registry = registry_of(sources, settings.registry_credentials)
    schema_of = None if registry is None else registry.schema
    topics = mapped_topics(sources, settings.max_payload_bytes, schema_of)
    return Intake(topics, registry, time.time)


def monitor_agent(settings: Settings, sender: Sender, reader: Reader, clock: Clock) -> MonitorAgent:
    """Return the monitor agent of a worker; ``clock`` is monotonic and decides when to save."""
    keeper = StateKeeper(
        settings.topics, sender, reader, lambda _model_id: ModelSpec(), limits=limits_of(settings)
    )
    return MonitorAgent(
        settings.topics,
        sender,
        keeper,
        clock,
        settings.save_every_s,
        edge=Edge(settings.deployment, settings.page_url),
    )
