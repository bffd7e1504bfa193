"""The core: pure, deterministic, bounded. No broker, clock, disk or network."""
