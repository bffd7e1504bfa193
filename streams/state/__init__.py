"""What is durable: the records of the state topic, and the audit of published records."""
