"""What the table would become, without writing."""
