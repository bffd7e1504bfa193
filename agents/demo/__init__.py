"""The demo: a broker in memory, recorded inputs, and a table of results."""
