"""Pages: the console, and traces as files."""
