"""A first hour on a stack, point by point: what the documentation promises, held against what is."""
