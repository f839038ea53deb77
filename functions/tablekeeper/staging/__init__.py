"""What waits in the staging bucket: item sets, lists of keys, reports."""
