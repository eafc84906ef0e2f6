"""Bindery: a link to a repository becomes a running session, without servers."""

__version__ = "0.1.0"
