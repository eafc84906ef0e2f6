"""Jupyter servers of sessions: their options, start and activity."""
