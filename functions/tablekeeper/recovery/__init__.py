"""What no Catch sees is recorded, and what waits is tried again."""
