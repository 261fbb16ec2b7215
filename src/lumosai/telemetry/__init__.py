"""Telemetry: what a run's events say of where time, tokens and money went."""
