"""Event streams of launches."""
