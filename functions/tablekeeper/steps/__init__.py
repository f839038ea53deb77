"""One module for each state that reads: fetch, validate, transform."""
