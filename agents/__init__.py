"""Where it touches the world: thin. Read, call streams, send."""
