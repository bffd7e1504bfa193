"""What is told of the story of agents/demo/story.py, a line a transition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("story.txt")
STORY = PATH.read_text("utf-8").splitlines() if PATH.exists() else []


def line_of(alert: dict[str, Any]) -> str:
    """Say a transition in one line: all of it but how it was found, and where."""
    names = ("model_id", "series", "aspect", "kind", "status", "severity", "episode", "sequence")
    return " ".join(str(alert[name]) for name in (*names, "detected_at", "summary"))
