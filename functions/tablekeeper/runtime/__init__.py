"""What only handlers import."""
