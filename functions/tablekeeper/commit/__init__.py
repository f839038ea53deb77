"""The only writer of the items table."""
