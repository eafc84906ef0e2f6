"""Builds of Python environments with uv."""
