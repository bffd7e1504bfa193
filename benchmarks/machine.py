"""What a figure was measured on."""

import os
import platform
from pathlib import Path

from tests.kafka import KAFKA_VERSION


def machine() -> str:
    """Return processor, cores, system, Python and broker, as one sentence's worth."""
    return f"{computer()}, Apache Kafka {KAFKA_VERSION} on the same machine"


def computer() -> str:
    """Return the same without the broker."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    named = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return named[0] if named else "unknown processor"
