"""A run at a keyboard: what a command, a script or a notebook shows of it, and how it is stopped."""
