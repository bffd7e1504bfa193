"""Alerts say where they come from: the worker fills in these fields when it publishes them."""

from typing import NamedTuple

import orjson

from agents.links import alert_link
from schemas.edge import with_edge


class Edge(NamedTuple):
    """Where the alerts of a worker come from.

    Parameters
    ----------
    deployment
        The name of the deployment.
    page_url
        The address of the page; None where there is none.
    """

    deployment: str
    page_url: str | None = None

    def of(self, value: bytes) -> bytes:
        """Return a record of ``alerts`` or ``status`` with these fields; a deletion stays one."""
        if not value:
            return value
        record = orjson.loads(value)
        alert = record.get("alert", record)
        url = alert_link(self.page_url, alert["fingerprint"], alert["episode"])
        return with_edge(value, self.deployment, url)
