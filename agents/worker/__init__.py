"""The worker: two Faust agents, and their transport, state and publishing."""
