"""What the deployed library does without, all of it. A test imports what is left, and fails when something is missed."""

# Of Bindery's own package: engines that only run on one machine, and what only they need.
LOCAL_ENGINES = (
    "adapters/tables/sqlite.py",
    "adapters/queues/memory.py",
    "adapters/repositories/any_contents.py",
    "adapters/repositories/archives.py",
    "adapters/repositories/checkout.py",
    "adapters/repositories/contents.py",
    "adapters/repositories/copying.py",
    "adapters/repositories/history*.py",
    "adapters/repositories/lfs.py",
    "adapters/repositories/object_cache.py",
    "adapters/repositories/packed_objects.py",
    "adapters/repositories/record_contents.py",
    "adapters/repositories/record_folder.py",
    "adapters/repositories/source.py",
    "adapters/repositories/submodules.py",
    "adapters/repositories/working_copy.py",
    "adapters/builds/attempts.py",
    "adapters/builds/base_images.py",
    "adapters/builds/carried.py",
    "adapters/builds/conda.py",
    "adapters/builds/container*.py",
    "adapters/builds/context.py",
    "adapters/builds/disk.py",
    "adapters/builds/ecr_public.py",
    "adapters/builds/environment_yml.py",
    "adapters/builds/environments.py",
    "adapters/builds/fetching.py",
    "adapters/builds/files.py",
    "adapters/builds/from_lines.py",
    "adapters/builds/inputs.py",
    "adapters/builds/install.py",
    "adapters/builds/keeper.py",
    "adapters/builds/layer_cache.py",
    "adapters/builds/limited.py",
    "adapters/builds/log.py",
    "adapters/builds/pipfile.py",
    "adapters/builds/plan*.py",
    "adapters/builds/pull_logins.py",
    "adapters/builds/reason.py",
    "adapters/builds/repo2docker_script.py",
    "adapters/builds/running.py",
    "adapters/builds/store.py",
    "adapters/builds/strays.py",
    "adapters/builds/surroundings.py",
    "adapters/builds/turns.py",
    "adapters/builds/uv*.py",
    "adapters/builds/wanted.py",
    "adapters/sessions/credentials.py",
    "adapters/sessions/environment.py",
    "adapters/sessions/folder.py",
    "adapters/sessions/held_ports.py",
    "adapters/sessions/keeper.py",
    "adapters/sessions/process*.py",
    "adapters/sessions/removal.py",
    "adapters/sessions/server.py",
    "adapters/sessions/stops.py",
    "adapters/sessions/working_copy.py",
)

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
AWS_SERVICES = ("codebuild", "dynamodb", "ecr", "eks", "logs", "secretsmanager", "sqs", "ssm", "sts")
