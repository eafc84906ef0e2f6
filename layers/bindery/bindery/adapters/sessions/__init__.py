"""Session launchers."""
