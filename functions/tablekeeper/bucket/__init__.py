"""The whole bucket: batches, differences, orphans and the report of a run."""
