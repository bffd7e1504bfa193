"""What is computed: pure, deterministic, bounded. No broker, clock, disk or network."""
