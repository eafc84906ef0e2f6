"""Sessions as Pods of a Kubernetes cluster."""
