"""The Kafka clients of the commands."""
