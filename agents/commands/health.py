"""Whether the workers are at work, as the cluster sees it: for a container's health check."""

from __future__ import annotations

from agents.errors import WorkerError
from agents.kafka.topics import connected_admin
from agents.settings import Settings

_STABLE = "Stable"
_UNTOLD = "Unknown"


class UnhealthyError(WorkerError):
    """The group is not at work. The operator looks at the workers' logs."""

    exit_code = 1


def check_group(settings: Settings) -> str:
    """Return a sentence about the consumer group when it is at work.

    Raises
    ------
    UnhealthyError
        When the group has no members, or they have no partitions yet; always on the embedded
        broker, which does not tell.
    """
    with connected_admin(settings) as admin:
        states = {group["group_id"]: group["group_state"] for group in admin.list_groups()}
    state = states.get(settings.group, "Missing")
    if state == _UNTOLD:
        msg = "This broker does not tell the state of a group: health works on Apache Kafka only."
        raise UnhealthyError(msg)
    if state != _STABLE:
        raise UnhealthyError(
            f"Group {settings.group!r} is not at work: its state is {state}, not {_STABLE}."
        )
    return f"Group {settings.group!r} is at work."
