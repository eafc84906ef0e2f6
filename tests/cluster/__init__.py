"""A real Kubernetes on this machine, for tests: `python -m tests.cluster up|down`, and the fixture `cluster`."""
