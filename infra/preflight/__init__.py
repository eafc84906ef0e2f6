"""Requirements for an AWS account and region before the stack is deployed, and requests to AWS for those that are missing."""
