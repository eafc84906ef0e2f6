"""The template as AWS's own SAM transform expands it: the form that CloudFormation would read."""

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.serving import aws
from tests.serving.packages import ROOT, sam

TRANSFORM = """
import json, sys
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

template = yaml_parse(open(sys.argv[1]).read())
validator = SamTemplateValidator(template, managed_policy_loader=None, region=sys.argv[2])
print(json.dumps(yaml_parse(validator.get_translated_template_if_valid()), default=str))
"""


@cache
def transformed(template: Path = ROOT / "template.yaml") -> Mapping[str, Any]:
    """Return the expanded template as plain data; `!Ref X` is {"Ref": "X"}. Reach no other machine.

    Raise CalledProcessError if the transform refuses the template.
    """
    command = [str(sam().parent / "python"), "-c", TRANSFORM, str(template), aws.REGION]
    quiet = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    ran = subprocess.run(command, env=quiet, capture_output=True, text=True, check=True)
    expanded: Mapping[str, Any] = json.loads(ran.stdout)
    return expanded


def of_type(resources: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the properties of all resources of a type, by name."""
    return {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == kind}
