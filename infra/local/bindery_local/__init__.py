"""Bindery on one machine: `template.yaml` driven in one process, with the real handlers."""
