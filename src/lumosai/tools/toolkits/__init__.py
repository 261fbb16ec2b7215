"""Tools that come with the platform."""
