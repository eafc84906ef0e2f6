"""Fetches contents of repositories, and makes environments and images of them."""
