"""Handing an exported model over: its card, its bill of materials, and the hub."""
