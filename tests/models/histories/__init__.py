"""Conversations as each provider makes them, and how each other one is asked to go on with them."""
