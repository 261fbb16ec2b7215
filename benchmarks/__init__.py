"""Benchmarks: what a run, a delta and an agent cost, beside the same job written by hand on the HTTP client.

`python -m benchmarks` measures everything and prints the table; `python -m benchmarks.soak` runs for minutes and looks
for leaks. Nothing here is imported by the package.
"""
