"""Nouns without I/O: what the rest of the package speaks of."""
