"""Adapters for AWS: DynamoDB, SQS, CodeBuild, ECR, EKS, Secrets Manager."""
