"""What commands print, and what they are given."""
