"""References and detectors: the statistics that find a change in learnt values."""
