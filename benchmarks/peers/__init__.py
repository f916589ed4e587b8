"""The other side of a comparison, in plain PyTorch, and what both sides get alike. Needs the extra `bench`."""
