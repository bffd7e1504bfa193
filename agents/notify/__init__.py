"""Delivery of alerts to other programs."""
