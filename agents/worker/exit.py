"""The end of a worker: its last log line and its exit code."""

from __future__ import annotations

import logging
import os
import sys

from agents.errors import OperatorError, WorkerError
from agents.kafka.admin import denial

_log = logging.getLogger(__name__)


def fail(error: BaseException) -> None:
    """Log why the worker ends, then end the process with the exit code of the error."""
    if denied := denial(error):
        error = OperatorError(
            f"Kafka refuses this: the worker's user {denied}; `./tidegauge acls` prints the rights "
            "that are needed"
        )
    if isinstance(error, WorkerError):
        _log.critical("%s", error)
        leave(error.exit_code)
    _log.critical("Unexpected error, the worker ends", exc_info=error)
    leave(os.EX_SOFTWARE)


def leave(exit_code: int) -> None:
    """End the process without any clean-up that could still publish or commit."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
