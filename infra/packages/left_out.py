"""Parts of the installed packages that are left out of the deployed library.

Of Bindery's own packages, two are not deployed to Lambda: `bindery_builder` and `bindery_local`. A test imports the rest, and fails
if a required part is missing.
"""

# Locked requirements, left out with their own dependencies. A function's cluster is EKS or configured in a secret.
# Both are accessed without Kubernetes' own client, which reads kubeconfig files.
UNUSED_REQUIREMENTS = ("kubernetes",)

# Files of the installed packages.
UNUSED_FILES = (
    "bin",
    "boto3/examples",
    "*/tests",
    "**/*.pyi",
    "**/py.typed",
    "**/*.c",
)

# Metadata of distributions that is read at run time (`importlib.metadata`) or that the licence requires.
DISTRIBUTION_FACTS = ("METADATA", "licenses", "LICENSE*", "NOTICE*")

# botocore describes each of AWS's 400 services in data files. These are the services that the adapters use.
AWS_SERVICES = ("codebuild", "dynamodb", "ecr", "ecr-public", "eks", "logs", "secretsmanager", "sqs", "ssm", "sts")
