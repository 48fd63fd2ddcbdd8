"""How parts are found: hooks, discovery, registry."""
