"""How the events of a model arrive: silence, label delay, event rates, versions."""
