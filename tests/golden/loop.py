"""The story of agents/demo/loop.py, a line for each alert, command and estimate."""

from __future__ import annotations

from pathlib import Path

from agents.demo.loop import played, told

PATH = Path(__file__).with_name("loop.txt")


def lines() -> list[str]:
    """Play the story."""
    return list(told(emission for _, emissions in played() for emission in emissions))
