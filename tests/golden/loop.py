"""The day of agents/demo/loop.py, line by line."""

from __future__ import annotations

from pathlib import Path

from agents.demo.loop import played

PATH = Path(__file__).with_name("loop.txt")


def lines() -> list[str]:
    """Play the day."""
    return [line for _, _, told in played() for line in told]
