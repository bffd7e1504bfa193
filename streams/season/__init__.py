"""Hourly profiles: their estimation, and their removal from a series."""
