"""What travels: frozen data, validation, and the only wire format."""
