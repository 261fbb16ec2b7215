"""Agents and their runs: the loop, its events and its limits."""
