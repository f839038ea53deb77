"""The ledger, read for people."""
