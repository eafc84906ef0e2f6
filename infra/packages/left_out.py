"""Parts of the installed packages that the deployed library does without.

Of Bindery's own packages, two are not deployed to Lambda: `bindery_builder` and `bindery_local`. A test imports what is left, and
fails when a part is missed.
"""

# Of the locked requirements, with what only they need: a function's cluster is EKS or stands in a secret, and both are asked
# without Kubernetes' own client, which reads kubeconfig files.
UNUSED_REQUIREMENTS = ("kubernetes",)

# Of what is installed.
UNUSED_FILES = (
    "bin",
    "boto3/examples",
    "*/tests",
    "**/*.pyi",
    "**/py.typed",
    "**/*.c",
)

# A distribution's facts that are read when it runs (`importlib.metadata`) or that its licence wants beside it.
DISTRIBUTION_FACTS = ("METADATA", "licenses", "LICENSE*", "NOTICE*")

# AWS describes each of its 400 services in files that clients are made from; these are the ones that adapters ask.
AWS_SERVICES = ("codebuild", "dynamodb", "ecr", "ecr-public", "eks", "logs", "secretsmanager", "sqs", "ssm", "sts")
