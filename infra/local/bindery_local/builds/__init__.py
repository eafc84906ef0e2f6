"""Build engines of the local runtime."""
