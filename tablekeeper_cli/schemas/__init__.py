"""Checks of schemas/ that need no AWS."""
