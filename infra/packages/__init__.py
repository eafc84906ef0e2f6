"""Deployment packages: `sam build`, and the steps that make its packages small and quick to import."""
