"""What runs inside CodeBuild: one attempt, from an order in its environment to an image in the registry."""
