"""The parts of a page that is served."""

from collections.abc import Callable
from dataclasses import dataclass

from agents.page.actions import Actions
from agents.page.feed import Feed
from agents.page.store import PageStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the handlers use.

    Parameters
    ----------
    deployment
        Name of the deployment.
    prefix
        Prefix of its topics, for commands to copy.
    feed
        Fills the store.
    actions
        None: the page only shows.
    hosts
        Values of the header Host that are answered: another one may be a foreign site's name for
        this address (DNS rebinding).
    now_ms
        The wall clock.
    """

    deployment: str
    prefix: str
    feed: Feed
    actions: Actions | None
    hosts: frozenset[str]
    now_ms: Callable[[], int]

    @property
    def store(self) -> PageStore:
        """The records."""
        return self.feed.store

    @property
    def origins(self) -> frozenset[str]:
        """The origins of the page itself."""
        return frozenset(
            f"{scheme}://{host}" for host in self.hosts for scheme in ("http", "https")
        )
