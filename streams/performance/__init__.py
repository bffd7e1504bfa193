"""How well a model does, by the time of its predictions: cohorts, their counts, their figures."""
