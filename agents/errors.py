"""Why a worker ends, by the reaction each reason calls for."""

from __future__ import annotations

import os


class WorkerError(Exception):
    """The worker must end now; the message is one sentence for the operator, without a traceback.

    The exit codes are those of sysexits.h, so that a supervisor can tell what a restart may heal.
    """

    exit_code = os.EX_SOFTWARE


class OperatorError(WorkerError):
    """Configuration or cluster are not as they must be. A restart alone does not help."""

    exit_code = os.EX_CONFIG


class FileError(WorkerError):
    """A file the operator named cannot be used: the message says which and why."""

    exit_code = os.EX_NOINPUT


class BrokerUnreachableError(WorkerError):
    """Kafka does not answer. Start it, or correct the address; then start again."""

    exit_code = os.EX_UNAVAILABLE


class PublishError(WorkerError):
    """A record may be missing from Kafka. Restart the worker: it resumes at its last commit."""

    exit_code = os.EX_TEMPFAIL


class StalledError(WorkerError):
    """A partition stands still while its log grows. Restart the worker."""

    exit_code = os.EX_TEMPFAIL
