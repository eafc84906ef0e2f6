"""Addresses of other sites' pages, and the launch links for them."""
