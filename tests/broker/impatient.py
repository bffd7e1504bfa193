"""The worker as it is, but it waits no longer than it is told for Kafka to take a record.

python -m tests.broker.impatient SECONDS
"""

from __future__ import annotations

import sys
import time

from agents.kafka.read import LogReader
from agents.settings import load_settings
from agents.telemetry import configure_logging
from agents.worker.assembly import build_app, ingest_agent, monitor_agent
from agents.worker.clock import CheckedClock
from agents.worker.publish import Publisher
from agents.worker.run import run_worker


def main(acknowledged_within_s: float) -> int:
    settings = load_settings()
    configure_logging(settings.log_level)
    own = time.time  # noqa: TID251 - the caller that time comes from
    clock = CheckedClock(own, time.monotonic, settings.clock_tolerance_s)
    publisher = Publisher(
        settings.connection(),
        acknowledged_within_s=acknowledged_within_s,
        on_append=clock.note,
    )
    agents = [
        ingest_agent(settings, publisher, clock),
        monitor_agent(settings, publisher, LogReader(settings), time.monotonic),
    ]
    return run_worker(build_app(settings, agents, publisher))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
