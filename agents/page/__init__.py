"""The page: a process of its own that reads output topics and shows them in a browser."""
