"""The table of topics with one more output."""

from dataclasses import dataclass, replace
from typing import cast

from schemas.topics import Topic, TopicRole, Topics

ECHOES = cast("TopicRole", "echoes")


@dataclass(frozen=True)
class WithEchoes(Topics):
    """The table, and a row that is like that of alerts but for its name and its id."""

    def table(self) -> tuple[Topic, ...]:
        """Return every topic."""
        (alerts,) = (topic for topic in Topics.table(self) if topic.role == "alerts")
        name, id_field = self.name(ECHOES), "echo_id"
        return *Topics.table(self), replace(alerts, role=ECHOES, name=name, id_field=id_field)
