"""What follows from what is observed: commands to programs, and questions to people."""
