"""Whether a record is good, and why not."""
