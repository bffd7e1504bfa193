"""The errors that end a process, by the reaction that each one needs."""

from __future__ import annotations

import os


class WorkerError(Exception):
    """The process must end now. The message is one sentence for the operator, without a traceback.

    The exit codes are those of sysexits.h, so that a supervisor can tell whether a restart helps.
    """

    exit_code = os.EX_SOFTWARE


class OperatorError(WorkerError):
    """The configuration or the cluster is wrong. A restart alone does not help."""

    exit_code = os.EX_CONFIG


class FileError(WorkerError):
    """A file that the operator named cannot be used: the message names it and the cause."""

    exit_code = os.EX_NOINPUT


class BrokerUnreachableError(WorkerError):
    """Kafka does not answer. Start it, or correct the address; then start again."""

    exit_code = os.EX_UNAVAILABLE


class PublishError(WorkerError):
    """A record may be missing from Kafka. Restart the worker: it resumes at its last commit."""

    exit_code = os.EX_TEMPFAIL


class StalledError(WorkerError):
    """A partition makes no progress while its log grows. Restart the worker."""

    exit_code = os.EX_TEMPFAIL
