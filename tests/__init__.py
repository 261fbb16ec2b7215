"""The tests: a mirror of `src/lumosai`, with the shared servers and fixtures beside them."""
