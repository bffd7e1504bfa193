"""What goes wrong, and when: a pure function of the seed.

Rule 1. The same seed and number of kills give the same faults, in the same order, with the same
        waits and the same victims.
Rule 2. Every kind of fault happens, however short the run.
Rule 3. There are never fewer than one and never more than ``MOST_WORKERS`` workers, and the last
        change of scale leads back to ``WORKERS``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "kill -9",
    "kill -9, all workers",
    "SIGTERM",
    "SIGSTOP",
    "scale",
    "broker kill -9",
    "connections cut",
    "connections held",
    "clock wrong",
    "transaction at the end",
    "poison records",
    "bad deploy",
    "topic made anew",
    "copies missing",
    "brokers upgraded in turn",
]
LONG_KINDS: tuple[Kind, ...] = ("copies missing", "brokers upgraded in turn")
"""Faults that take a minute and more, and three brokers: only where they are asked for."""
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in LONG_KINDS)

WORKERS = 2
MOST_WORKERS = 3
WAIT_S = (3.5, 7.5)
SETTLE_S = 6.0
"""Waited on top of that before a fault that stops every worker at once."""

_KILLS_BETWEEN: dict[Kind, int] = {
    "kill -9, all workers": 25,
    "SIGTERM": 10,
    "SIGSTOP": 16,
    "scale": 12,
    "broker kill -9": 20,
    "connections cut": 25,
    "connections held": 25,
    "clock wrong": 16,
    "transaction at the end": 12,
    "poison records": 12,
    "bad deploy": 60,
    "topic made anew": 60,
}
_SCALES = (1, 3, 1, WORKERS)
_STOPS_ALL = {
    "kill -9, all workers",
    "broker kill -9",
    "connections cut",
    "connections held",
    "topic made anew",
    *LONG_KINDS,
}
_LASTS_S: dict[Kind, tuple[float, float]] = {
    "SIGSTOP": (8.0, 14.0),
    "broker kill -9": (0.5, 6.0),
    "connections cut": (1.0, 12.0),
    "connections held": (2.0, 14.0),
    "clock wrong": (10.0, 30.0),
    "transaction at the end": (1.0, 10.0),
    "copies missing": (15.0, 30.0),
    "topic made anew": (12.0, 12.0),  # a worker notices within ten seconds
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind
        What.
    wait_s
        Seconds after the fault before.
    victim
        Which worker, as a share of those that run, 0 up to 1.
    lasts_s
        How long it lasts, where it does not end by itself at once.
    workers
        How many workers are wanted from here on, of a change of scale.
    """

    kind: Kind
    wait_s: float
    victim: float
    lasts_s: float = 0.0
    workers: int = WORKERS


def plan(kills: int, seed: int, pace: float = 1.0, *, is_long: bool = False) -> list[Fault]:
    """Return the faults of a run with so many ``kill -9`` of one worker; ``pace`` scales the waits.

    ``is_long`` adds each of `LONG_KINDS` once.

    Examples
    --------
    >>> faults = plan(kills=200, seed=7)
    >>> sum(fault.kind == "kill -9" for fault in faults), faults == plan(kills=200, seed=7)
    (200, True)
    """
    chance = random.Random(seed)
    kinds: list[Kind] = ["kill -9"] * kills
    for kind, between in _KILLS_BETWEEN.items():
        count = max(1, round(kills / between))
        kinds += [kind] * (_whole_cycles(count) if kind == "scale" else count)
    kinds += LONG_KINDS if is_long else ()
    chance.shuffle(kinds)
    scales = iter(_SCALES * (len(kinds) // len(_SCALES) + 1))
    return [
        Fault(
            kind=kind,
            wait_s=pace * (chance.uniform(*WAIT_S) + (SETTLE_S if kind in _STOPS_ALL else 0.0)),
            victim=chance.random(),
            lasts_s=chance.uniform(*_LASTS_S.get(kind, (0.0, 0.0))),
            workers=next(scales) if kind == "scale" else WORKERS,
        )
        for kind in kinds
    ]


def _whole_cycles(count: int) -> int:
    return max(1, round(count / len(_SCALES))) * len(_SCALES)
