"""Nothing but good intentions."""
