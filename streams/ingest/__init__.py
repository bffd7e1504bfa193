"""From source records to records of ``events``."""
