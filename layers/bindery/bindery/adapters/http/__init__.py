"""Guarded HTTP client for all requests to addresses that a visitor may have chosen."""
