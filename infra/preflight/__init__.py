"""What an AWS account and region must have before the stack is deployed, and what to ask AWS for if they do not have it."""
