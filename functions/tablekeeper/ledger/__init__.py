"""The ledger: its rows, reads, writes and failures."""
