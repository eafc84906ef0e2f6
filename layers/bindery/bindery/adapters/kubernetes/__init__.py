"""Session launcher for Kubernetes: each session is a Pod of a cluster."""
