"""Ingest: from records of the input topics to records of ``events``."""
