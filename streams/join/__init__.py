"""Predictions meet their outcomes."""
