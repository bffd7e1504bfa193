"""One file that shows a model: the page with its data inside. It opens from disk.

Rule 1. The file asks for nothing: scripts, styles and data are in it. Its Content-Security-Policy
        names the two scripts and the styles by their hashes, and allows nothing else.
Rule 2. Data stand in a block that is no script, with every ``<`` as an escape, so no name in them
        can end the block.
Rule 3. The modules of the page are joined as they are: none has a default export or an import under
        another name, and no two have a top-level name in common.
"""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import Any

import orjson

from agents.page.server import STATIC
from agents.page.store import PageStore
from agents.page.views import PortfolioQuery, alert_view, model_view, portfolio
from schemas.wire import to_epoch_ms

MODULES = (
    "dom.js",
    "format.js",
    "api.js",
    "marks.js",
    "charts.js",
    "lanes.js",
    "distribution.js",
    "actions.js",
    "incident.js",
    "portfolio.js",
    "model.js",
    "alert.js",
    "others.js",
    "app.js",
)
"""In the order of their imports: a module comes after those that it imports."""
MOST_MODELS = 50
"""Models in one file, the most urgent first."""
MOST_ALERTS = 100
"""Episodes of a model that have a view of their own, the newest ones."""
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(async )?function|const)", re.MULTILINE)


def report(store: PageStore, deployment: str, now_ms: int, since_ms: int = 0) -> bytes:
    """Return the file.

    Parameters
    ----------
    store
        The records of the models.
    deployment
        Name of the deployment, or of the recording.
    now_ms
        The instant of which it tells, epoch milliseconds.
    since_ms
        Older figures and alerts are left out.
    """
    health = {
        "deployment": deployment,
        "prefix": "",
        "now": now_ms,
        "is_ready": True,
        "trouble": None,
        "stale": None,
        "allows_actions": False,
    }
    data = orjson.dumps({"health": health, "answers": answers(store, since_ms)})
    return _document(data.replace(b"<", b"\\u003c"))


def answers(store: PageStore, since_ms: int = 0) -> dict[str, Any]:
    """Return the answer to each address that the views in the file ask for.

    What several alerts of a model share is in the file once: its figures, and its series.
    """
    first = portfolio(store, PortfolioQuery())
    rows = first["rows"][:MOST_MODELS]
    found: dict[str, Any] = {"/api/models": first | {"rows": rows}}
    for model_id in [row["model_id"] for row in rows]:
        view = model_view(store, model_id)
        if view is not None:
            for name, instant in (("episodes", "fired_at"), ("days", "end"), ("hours", "end")):
                view[name] = _since(view[name], instant, since_ms)
            shared: dict[str, Any] = {}
            view["shared"] = shared
            for each in view["episodes"][-MOST_ALERTS:]:
                alert = alert_view(store, each["fingerprint"], each["episode"])
                if alert is not None:
                    address = f"/api/alert {each['fingerprint']} {each['episode']}"
                    found[address] = _without_shared(alert, shared, since_ms)
            found[f"/api/model {model_id}"] = view
    return found


def _without_shared(alert: dict[str, Any], shared: dict[str, Any], since_ms: int) -> dict[str, Any]:
    series, points = alert["series"], alert["series"]["points"]
    first = sum(to_epoch_ms(start) < since_ms for start in points["start"])
    shared[alert["alert"]["series"]] = {
        "points": {name: column[first:] for name, column in points.items()},
        "reference": series["reference"],
    }
    own = {name: value for name, value in alert.items() if name not in {"days", "hours", "row"}}
    lanes = [[each["fingerprint"], each["episode"]] for each in alert["lanes"]]
    return own | {"lanes": lanes, "series": {"change": series["change"]}}


def latest_ms(store: PageStore) -> int:
    """Return the latest instant of the records, epoch milliseconds: the end of a recording."""
    instants = [
        to_epoch_ms(record[name])
        for model in store.models.values()
        for sort, name in (("alert", "detected_at"), ("update", "detected_at"), ("day", "as_of"))
        for record in model.latest(sort, 1)
    ]
    return max(instants, default=0)


def _since(records: list[dict[str, Any]], name: str, since_ms: int) -> list[dict[str, Any]]:
    return [each for each in records if to_epoch_ms(each[name]) > since_ms]


def _document(data: bytes) -> bytes:
    style = "\n".join(_text(name) for name in ("vendor/uPlot.min.css", "page.css"))
    charts = _text("vendor/uPlot.iife.min.js")
    script = "\n".join(map(_joined, MODULES))
    policy = (
        f"default-src 'none'; script-src {_hash(charts)} {_hash(script)}; "
        f"style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>Tidegauge</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        "<noscript>This report needs JavaScript.</noscript>\n"
        '<script id="report-data" type="application/json">'
    )
    tail = (
        f"</script>\n<script>{charts}</script>\n"
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )
    return head.encode() + data + tail.encode()


def _text(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8").replace("\r", "")


def _joined(name: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", _text(name)))


def _hash(text: str) -> str:
    digest = base64.b64encode(sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
