"""Keep the embedded broker up until somebody stops it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

from agents.embedded import BrokerStartError, EmbeddedBroker

_LOOK_EVERY_S = 0.2


class _Stop(Exception):  # noqa: N818 - a request, not an error
    pass


def _ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop


def serve(port: int, say: Callable[[str], None]) -> None:
    """Run the embedded broker until SIGTERM or Ctrl-C.

    Raises
    ------
    BrokerStartError
        When it does not start, or ends by itself.
    """
    before = signal.signal(signal.SIGTERM, _ask_to_stop)
    try:
        with EmbeddedBroker(port) as broker:
            say(
                f"The embedded broker answers at {broker.bootstrap}. It keeps everything in "
                "memory: when it stops, topics and records are gone."
            )
            say(f"Point Tidegauge at it:   export TIDEGAUGE_BROKER={broker.bootstrap}")
            say(f"Point your services at:  bootstrap_servers={broker.bootstrap}")
            say("Ctrl-C stops it.")
            while broker.process.poll() is None:
                time.sleep(_LOOK_EVERY_S)
            raise BrokerStartError(
                f"The embedded broker ended by itself, with code {broker.process.returncode}."
            )
    except _Stop:
        say("The embedded broker has stopped.")
    finally:
        signal.signal(signal.SIGTERM, before)
