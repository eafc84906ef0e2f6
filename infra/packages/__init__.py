"""What is deployed: `sam build`, and what it takes to make its packages small and quick to import."""
