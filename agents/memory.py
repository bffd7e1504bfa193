"""How this process looks after its memory."""

import gc

YOUNG_OBJECTS = 300_000
"""More than wait to be read: they are gone before anybody looks for cycles among them."""


def calm_collector() -> None:
    """Let the cycle collector run rarely: what waits is many, long-lived and without cycles.

    At Python's defaults it took half the time of a monitor with 1,000,000 waiting predictions, and
    six sevenths of the time to restore them.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
