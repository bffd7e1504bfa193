"""Records as other systems publish them: decoded, then mapped to events by a declarative map."""
