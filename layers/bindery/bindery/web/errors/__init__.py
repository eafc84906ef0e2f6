"""The error catalogue, and how an error is shown."""
