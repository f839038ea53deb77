"""One module a subject: what a command is called with and how its answer is shown.

Nothing heavy is imported before a command runs, so that `--help` and completion are quick.
"""
