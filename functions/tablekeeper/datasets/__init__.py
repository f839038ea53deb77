"""What schemas/ says, and what it makes of a record."""
