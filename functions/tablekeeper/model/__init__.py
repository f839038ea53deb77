"""The nouns of the package, without I/O."""
