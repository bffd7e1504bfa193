"""The states of an alert, and its records."""
