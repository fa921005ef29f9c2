"""Files to copy from: each shows one thing that a config can name."""
