"""Lumosai: an AI-agent platform for Python."""
