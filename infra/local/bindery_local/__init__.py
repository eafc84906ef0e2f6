"""Local runtime: runs `template.yaml` with the real handlers in one process."""
