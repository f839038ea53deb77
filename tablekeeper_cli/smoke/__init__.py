"""A first hour on a deployed stack: each promise is tried, point by point."""
