"""The certificate of a run: what was forgotten, what was set to hold, what was found, what was not shown."""
