"""A local page on which runs are looked at, and the same as a static folder."""
