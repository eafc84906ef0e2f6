"""Queue events and logs of Lambda functions."""
