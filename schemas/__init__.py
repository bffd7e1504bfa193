"""The wire: the types of all records, their validation, and the topics that hold them."""
