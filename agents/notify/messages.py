"""The request that each target receives for a transition of an alert.

============  ==================  ==================  ================  =====================
              firing              ongoing             acknowledged      muted
============  ==================  ==================  ================  =====================
webhook       the alert           the alert           the alert         the resolution alone
slack         a message           a message           no more ongoing   nothing
pagerduty     trigger             trigger, same key   acknowledge       the resolution alone
alertmanager  posted each minute  posted each minute  an annotation     posted no more
============  ==================  ==================  ================  =====================

Resolved: the alert, a message, resolve, and an end. A target that keeps a list of open alerts
always receives the resolution: a page that was sent before the mute would otherwise stay open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import urljoin

import orjson
from pydantic import SecretStr

from agents.links import alert_link
from agents.notify.http import Request
from schemas.alert import Alert
from schemas.wire import to_epoch_ms

_PAGERDUTY_SUMMARY_CHARACTERS = 1_024
"""Most characters of a summary that Events API v2 accepts."""
_COLOURS = {"critical": "#c0392b", "warning": "#e67e22", "info": "#2980b9"}
_RESOLVED_COLOUR = "#27ae60"
_SLACK_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A transition to be delivered.

    Parameters
    ----------
    alert
        The transition.
    record
        Its bytes in ``alerts``.
    is_muted
        Whether the alert was muted at the instant of the transition.
    """

    alert: Alert
    record: bytes
    is_muted: bool


class Links(NamedTuple):
    """Where the links of notifications lead; without an address there are none.

    Parameters
    ----------
    base
        The base URL of links to the runbook.
    page
        The address of the page.
    """

    base: str | None = None
    page: str | None = None

    def runbook_of(self, alert: Alert) -> str | None:
        """Return the link to the runbook's entry about such alerts."""
        if not self.base or not alert.runbook:
            return None
        return urljoin(f"{self.base.rstrip('/')}/", alert.runbook)

    def page_of(self, alert: Alert) -> str | None:
        """Return the link to the alert on the page; without one of ours, that of the worker."""
        return alert_link(self.page, alert.fingerprint, alert.episode) or alert.url

    def named(self, alert: Alert) -> dict[str, str]:
        """Return all links by name, that to the page first."""
        found = {"Page": self.page_of(alert), "Runbook": self.runbook_of(alert)}
        return {name: link for name, link in found.items() if link is not None}


NO_LINKS = Links()


class Target(Protocol):
    """Turns notices into requests."""

    def request(self, notice: Notice) -> Request | None:
        """Return the request for a transition; None when the target receives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A program of the operator's. It receives the record of ``alerts``, byte for byte.

    Parameters
    ----------
    url
        The address.
    deployment
        The name of the deployment, for a header: two deployments have alerts of the same id.
    links
        Where links lead: that to the page is a header.
    """

    url: SecretStr
    deployment: str
    links: Links = NO_LINKS

    def request(self, notice: Notice) -> Request | None:
        """Return the alert itself; a copy has the same id."""
        if notice.is_muted and notice.alert.status != "resolved":
            return None
        headers = {
            "Idempotency-Key": f"{self.deployment}/{notice.alert.alert_id}",
            "Tidegauge-Deployment": self.deployment,
        }
        if link := self.links.page_of(notice.alert):
            headers["Tidegauge-Page"] = link
        return Request(url=self.url, body=notice.record, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """An incoming webhook of Slack.

    Parameters
    ----------
    url
        The webhook, which is a secret.
    deployment, prefix
        The name of the deployment, and the prefix of its topics.
    links
        Where links lead.
    """

    url: SecretStr
    deployment: str
    prefix: str
    links: Links

    def request(self, notice: Notice) -> Request | None:
        """Return a message: the change, its size, its beginning, and the action to take."""
        alert = notice.alert
        if notice.is_muted or (alert.status == "ongoing" and alert.acknowledged):
            return None
        heading = " · ".join((alert.status.upper(), alert.severity, self.deployment, alert.summary))
        lines = [_escaped(line) for line in details(alert)]
        if alert.status != "resolved":
            lines.append(f"`./tidegauge ack {alert.fingerprint} --prefix {self.prefix}`")
        lines += [f"<{link}|{name}>" for name, link in self.links.named(alert).items()]
        is_over = alert.status == "resolved"
        message = {
            "text": _escaped(heading),
            "attachments": [
                {
                    "color": _RESOLVED_COLOUR if is_over else _COLOURS[alert.severity],
                    "text": "\n".join(lines),
                    "mrkdwn_in": ["text"],
                }
            ],
        }
        return Request(url=self.url, body=orjson.dumps(message))


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDuty:
    """Events API v2 of PagerDuty. One fingerprint of one deployment is one incident.

    Parameters
    ----------
    url
        The address that accepts events.
    key
        The integration key.
    deployment
        The name of the deployment.
    links
        Where links lead.
    """

    url: SecretStr
    key: SecretStr
    deployment: str
    links: Links

    def request(self, notice: Notice) -> Request | None:
        """Return a trigger, an acknowledgement or a resolution."""
        alert = notice.alert
        event: dict[str, Any] = {
            "routing_key": self.key.get_secret_value(),
            "dedup_key": f"{self.deployment}/{alert.fingerprint}",
            "client": "Tidegauge",
        }
        if alert.status == "resolved":
            event["event_action"] = "resolve"
        elif notice.is_muted:
            return None
        elif alert.acknowledged:
            event["event_action"] = "acknowledge"
        else:
            event |= self._trigger(alert)
        return Request(url=self.url, body=orjson.dumps(event))

    def _trigger(self, alert: Alert) -> dict[str, Any]:
        # A category is a value of a prediction: it is not sent to another company.
        return {
            "event_action": "trigger",
            "payload": {
                "summary": alert.summary[:_PAGERDUTY_SUMMARY_CHARACTERS],
                "source": alert.model_id,
                "severity": alert.severity,
                "timestamp": alert.fired_at,
                "component": alert.series,
                "group": alert.model_id,
                "class": alert.kind,
                "custom_details": {
                    **alert.model_dump(
                        mode="json", exclude={"summary", "type", "category", "categories"}
                    ),
                    "deployment": self.deployment,
                },
            },
            "links": [
                {"href": link, "text": name} for name, link in self.links.named(alert).items()
            ],
        }


def alertmanager_labels(alert: Alert, deployment: str) -> dict[str, str]:
    """Return the labels that identify the alert in Alertmanager, and those to route it by."""
    labels = {
        "alertname": "Tidegauge" + alert.kind.title().replace("_", ""),
        "deployment": deployment,
        "model_id": alert.model_id,
        "series": alert.series,
        "aspect": alert.aspect,
        "severity": alert.severity,
        "kind": alert.kind,
        "fingerprint": alert.fingerprint,
    }
    return labels if alert.owner is None else labels | {"owner": alert.owner}


def alertmanager_alert(
    alert: Alert, deployment: str, ends_at: datetime, now: datetime, links: Links
) -> Any:
    """Return an alert in the form of Alertmanager's API v2, firing until ``ends_at``."""
    annotations = {"summary": alert.summary, "description": "\n".join(details(alert))}
    if alert.runbook:
        annotations["runbook"] = links.runbook_of(alert) or alert.runbook
    page = links.page_of(alert)
    if page is not None:
        annotations["page"] = page
    # Alertmanager rejects a start after the end. A producer's clock may be ahead of ours.
    starts_at = min(read_instant(alert.fired_at), now)
    posted = {
        "labels": alertmanager_labels(alert, deployment),
        "annotations": annotations,
        "startsAt": _instant(starts_at),
        "endsAt": _instant(ends_at),
    }
    if link := page or links.runbook_of(alert):
        posted["generatorURL"] = link
    return posted


def details(alert: Alert) -> Sequence[str]:
    """Return the details beside the summary, one a line."""
    lines = [f"Model {alert.model_id}, version {alert.model_version or 'unknown'}, {alert.series}"]
    if alert.owner:
        lines.append(f"Owner: {alert.owner}")
    if alert.segment:
        lines.append(", ".join(f"{name}: {value}" for name, value in sorted(alert.segment.items())))
    lines.append(f"Since {alert.started_at}, detected {alert.fired_at}")
    if alert.followed_by:
        lines.append(f"Alerts are also open on: {', '.join(alert.followed_by)}")
    if alert.is_flapping:
        lines.append("Flapping: notified less often until it is steady")
    if alert.acknowledged:
        ack = alert.acknowledged
        because = f": {ack.because}" if ack.because else ""
        lines.append(f"Acknowledged by {ack.by} at {ack.at}{because}")
    if alert.resolved_because:
        lines.append(f"Resolved: {alert.resolved_because}")
    return lines


def read_instant(text: str) -> datetime:
    """Read an instant of the wire.

    Raises
    ------
    ValueError
        When the text is no instant.
    """
    return datetime.fromtimestamp(to_epoch_ms(text) / 1_000, UTC)


def _escaped(text: str) -> str:
    # Without it, a model called "<!channel>" would notify the whole channel.
    return text.translate(_SLACK_ESCAPES)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
