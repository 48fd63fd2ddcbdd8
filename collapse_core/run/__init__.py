"""What a run leaves behind: its directory, journal and environment."""
