"""Papers done again: one folder a paper, one file a figure or table, one command each (see README.md)."""
