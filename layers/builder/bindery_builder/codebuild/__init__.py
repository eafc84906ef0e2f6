"""CodeBuild's build process: one attempt, from an order in its environment variables to an image in the registry."""
