"""Executions of the state machines: traces, what runs now, starting again."""
