"""A first hour on a stack, point by point: what is promised, held against what is."""
