"""Links to the page, for people who read an alert elsewhere."""

from __future__ import annotations

from urllib.parse import quote


def alert_link(page_url: str | None, fingerprint: str, episode: int | None = None) -> str | None:
    """Return the address of an alert on the page; None where `page_url` is not set.

    Examples
    --------
    >>> alert_link("https://gauge.example.org/", "3f9c2a71", 2)
    'https://gauge.example.org/alert/3f9c2a71?episode=2'
    """
    if page_url is None:
        return None
    which = "" if episode is None else f"?episode={episode}"
    return f"{page_url.rstrip('/')}/alert/{quote(fingerprint, safe='')}{which}"


def model_link(page_url: str | None, model_id: str) -> str | None:
    """Return the address of a model on the page; None where `page_url` is not set.

    Examples
    --------
    >>> model_link("http://127.0.0.1:8800", "loans/v2")
    'http://127.0.0.1:8800/model/loans%2Fv2'
    """
    return None if page_url is None else f"{page_url.rstrip('/')}/model/{quote(model_id, safe='')}"
