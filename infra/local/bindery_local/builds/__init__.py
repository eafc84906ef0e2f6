"""Builds on this machine."""
