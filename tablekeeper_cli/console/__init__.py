"""The console: read-only pages about a stack, served on 127.0.0.1."""
