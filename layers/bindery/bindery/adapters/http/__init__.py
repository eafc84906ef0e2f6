"""The guarded HTTP client: every request to an address that a stranger may have named."""
