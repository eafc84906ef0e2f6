"""Addresses of other sites' pages, and the links that they stand for."""
