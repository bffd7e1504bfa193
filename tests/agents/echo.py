"""The smallest worker there is: every record of one topic goes to another, with its position.

It shows how an agent is written, and the tests run it, in the process and as a process of its own:
`python -m tests.agents.echo BROKER GROUP SOURCE TARGET`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from faust.types import TP

from agents.errors import WorkerError
from agents.settings import Settings, load_settings
from agents.worker.agent import Agent
from agents.worker.app import WorkerApp
from agents.worker.assembly import build_app
from agents.worker.publish import Outgoing, Publisher
from agents.worker.run import run_worker
from agents.worker.transport import Fetch


class GapError(WorkerError):
    """A fetch does not begin where the last one ended."""


class Echo(Agent):
    """Publishes each record to ``target`` under the key ``partition:offset``, then commits."""

    def __init__(self, publisher: Publisher, source: str, target: str) -> None:
        super().__init__("echo", [source], [target])
        self._publisher = publisher
        self._target = target
        self._applied: dict[TP, int] = {}

    async def on_rebalance_complete(self, starts: Mapping[TP, int]) -> None:
        self._applied = dict(starts)

    async def on_fetch(self, fetch: Fetch) -> None:
        if fetch.start_offset != self._applied[fetch.tp]:
            raise GapError(f"{fetch.tp}: {fetch.start_offset} after {self._applied[fetch.tp]}")
        await self._publisher.send(
            Outgoing(self._target, None, b"%d:%d" % (record.partition, record.offset), value, None)
            for record in fetch.records
            if (value := record.value) is not None
        )
        self._applied[fetch.tp] = fetch.next_offset
        await self.partitions.commit_fact({fetch.tp: fetch.next_offset})

    def applied(self) -> Mapping[TP, int]:
        return self._applied


def echo_app(settings: Settings, source: str, target: str) -> WorkerApp:
    publisher = Publisher(settings.connection())
    return build_app(settings, [Echo(publisher, source, target)], publisher)


if __name__ == "__main__":
    broker, group, source, target = sys.argv[1:]
    settings = load_settings(broker=broker, group=group, session_timeout_s=6.0)
    sys.exit(run_worker(echo_app(settings, source, target)))
