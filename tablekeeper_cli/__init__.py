"""The `tablekeeper` command: see what a stack did, why, and put it right."""
