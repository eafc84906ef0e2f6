"""`python -m infra.preflight`: checks the account before a deployment, with the deployment's parameters."""

import argparse
import sys

import boto3

from infra.preflight.checks import findings
from infra.preflight.finding import Level
from infra.preflight.stack import Stack, read_parameters


def main(words: list[str] | None = None) -> int:
    """Print a line for each finding.

    Returns 1 if a change is needed before the deployment, 2 for invalid arguments or without credentials.
    """
    parser = argparse.ArgumentParser(prog="python -m infra.preflight", description=__doc__)
    parser.add_argument("--region", required=True, help="the stack's region")
    parser.add_argument("parameters", nargs="*", metavar="Name=value", help="as for sam deploy --parameter-overrides")
    arguments = parser.parse_args(words)
    session = boto3.Session(region_name=arguments.region)
    try:
        parameters = read_parameters(arguments.parameters)
    except ValueError as error:
        print(error)
        return 2
    if session.get_credentials() is None:
        print("There are no AWS credentials, so nothing can be checked: sign in first, as for sam deploy.")
        return 2
    stack = Stack(arguments.region, session.get_partition_for_region(arguments.region), parameters)
    report = list(findings(stack, session.client))  # type: ignore[arg-type]  # its stub has an overload for each service
    for finding in report:
        print(finding)
    return int(any(finding.level is Level.CHANGE for finding in report))


if __name__ == "__main__":
    sys.exit(main())
