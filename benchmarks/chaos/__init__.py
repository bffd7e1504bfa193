"""Break a deployment on real Kafka in every way we know, then hold it to its promise."""
