"""Whether the table equals the bucket, read from both."""
