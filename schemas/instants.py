"""The range of instants. Of its own: `--help` must not wait for the types of the wire."""

FIRST_INSTANT_MS = 631_152_000_000
"""1990-01-01T00:00:00Z. Epoch seconds of today, read as milliseconds, lie before it."""
LAST_INSTANT_MS = 4_102_444_800_000
"""2100-01-01T00:00:00Z. Epoch microseconds of today, read as milliseconds, lie after it."""
