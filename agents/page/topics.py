"""How broker, topics and workers are."""

from typing import Any

from agents.commands.status import staleness
from agents.page.feed import Feed
from agents.page.page import Page


def health_view(page: Page) -> dict[str, Any]:
    """Return what the head of the page shows."""
    feed, now_ms = page.feed, page.now_ms()
    return {
        "deployment": page.deployment,
        "prefix": page.prefix,
        "now": now_ms,
        "is_ready": feed.is_ready,
        "trouble": feed.trouble,
        "trouble_since": feed.trouble_since,
        "stale": staleness(feed.tick_ms, now_ms) if feed.is_ready else None,
        "tick": feed.tick_ms,
        "allows_actions": page.actions is not None,
        "asks_name": page.actions is not None and page.actions.user_header is None,
        "models": len(feed.store.models),
    }


def topics_view(feed: Feed) -> dict[str, Any]:
    """Return the topics that the page reads, partition by partition, and the refused inputs."""
    store = feed.store
    return {
        "topics": [
            {
                "name": topic.name,
                "role": topic.role,
                "last_at": topic.last_at,
                "partitions": [
                    {
                        "partition": partition,
                        "first": topic.first.get(partition, 0),
                        "end": end,
                        "read": store.positions.get((topic.role, partition), -1) + 1,
                    }
                    for partition, end in sorted(topic.end.items())
                ],
            }
            for topic in feed.topics.values()
        ],
        "refused": store.refused.most_common(),
        "newest_refused": list(reversed(store.newest_refused)),
    }
