"""Stack to be deployed: its region and its parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bindery_local.template import load

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
# Parameters that limit concurrent executions of the queues' functions.
CEILINGS = ("ResolvesAtOnce", "BuildStartsAtOnce", "SessionStartsAtOnce", "SessionStopsAtOnce", "DeadLettersAtOnce")
ADAPTER_LAYERS = {"x86_64": "LambdaAdapterLayerX86:27", "arm64": "LambdaAdapterLayerArm64:27"}
ADAPTER_ACCOUNT = "753240598075"


@dataclass(frozen=True)
class Stack:
    """Stack to be deployed.

    parameters: values by name, including defaults. partition: `aws`, `aws-cn` or `aws-us-gov`.
    """

    region: str
    partition: str
    parameters: Mapping[str, str]

    def number(self, name: str) -> int:
        """Return a parameter's value as a number."""
        return int(self.parameters[name])

    @property
    def adapter_layer(self) -> str:
        """Return the ARN of the Lambda Web Adapter's layer, as in the template."""
        layer = ADAPTER_LAYERS[self.parameters["Architecture"]]
        usual = f"arn:{self.partition}:lambda:{self.region}:{ADAPTER_ACCOUNT}:layer:{layer}"
        return self.parameters["WebAdapterLayer"] or usual


def read_parameters(words: Sequence[str]) -> dict[str, str]:
    """Return the template's defaults, overridden by the `Name=value` words. Raises ValueError for an unknown parameter."""
    parameters: Mapping[str, Mapping[str, Any]] = load(TEMPLATE)["Parameters"]
    values = {name: str(about.get("Default", "")) for name, about in parameters.items()}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in values:
            raise ValueError(f"{word} is not Name=value with a parameter of template.yaml")
        values[name] = value
    return values
