"""The processes: thin. They read from Kafka, call ``streams``, and send."""
