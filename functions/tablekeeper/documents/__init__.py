"""Bytes to exact values, as streams."""
