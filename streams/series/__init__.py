"""The monitored series of a model: learning, watching, data-quality rules, recovery."""
