"""One model: its events, its values that wait, its spec, its publications, its stored state."""
