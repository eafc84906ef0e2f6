"""Resources of a session on its cluster."""

import re
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import from_json

from bindery.domain.kubernetes_quantities import amount, is_bytes, is_quantity

_SET_BY_BINDERY = re.compile(r"JUPYTER_TOKEN|BINDERY?_.*", re.DOTALL)


def structured(value: object) -> object:
    """Return the value of JSON text, such as an environment variable has; any other value unchanged."""
    return from_json(value) if isinstance(value, str) else value


def _at_least(guarantee: str) -> Callable[[str, ValidationInfo], str]:
    """Return a check that a limit is above zero and not below its guarantee. The check raises ValueError."""

    def check(limit: str, fields: ValidationInfo) -> str:
        guaranteed = fields.data.get(guarantee, "0")
        if amount(limit) < amount(guaranteed):
            raise ValueError(f"{limit} is less than {guarantee}, {guaranteed}")
        if amount(limit) == 0:
            raise ValueError("a limit of nothing leaves no room for a session")
        return limit

    return check


def _is_settable(name: str) -> str:
    """Return the name of a variable that Bindery does not set itself. Raises ValueError."""
    if _SET_BY_BINDERY.fullmatch(name):
        raise ValueError(f"{name} is set by Bindery itself")
    return name


Quantity = Annotated[str, AfterValidator(is_quantity)]
Bytes = Annotated[str, AfterValidator(is_bytes)]
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)"
LabelKey = Annotated[str, StringConstraints(pattern=f"^{_PREFIX}?{_NAME}$")]
LabelValue = Annotated[str, StringConstraints(pattern=f"^({_NAME})?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_is_settable)]
Value = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=32768)]


class Toleration(BaseModel):
    """Taint that sessions tolerate, in Kubernetes' format: `model_dump(by_alias=True, exclude_defaults=True)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    key: LabelKey | Literal[""] = ""
    operator: Literal["", "Exists", "Equal"] = ""
    value: LabelValue = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: int | None = Field(None, alias="tolerationSeconds")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        """Check the toleration like the API server, which would refuse every session otherwise. Raises ValueError."""
        troubles = {
            "without a key, operator has to be Exists": not self.key and self.operator != "Exists",
            "with operator Exists there is no value": self.operator == "Exists" and self.value != "",
            "tolerationSeconds goes with effect NoExecute": self.toleration_seconds is not None
            and self.effect != "NoExecute",
        }
        for trouble, applies in troubles.items():
            if applies:
                raise ValueError(trouble)
        return self


class Resources(BaseModel):
    """Resources of each session. Quantities are Kubernetes' (`450M`, `2Gi`, `0.5`, `500m`). A guarantee of 0 makes no reservation."""

    model_config = ConfigDict(frozen=True)

    memory_guarantee: Bytes = Field("450M", description="memory reserved for a session")
    memory_limit: Annotated[Bytes, AfterValidator(_at_least("memory_guarantee"))] = Field(
        "2G", validate_default=True, description="maximum memory of a session; a process that exceeds it is killed"
    )
    cpu_guarantee: Quantity = Field("0.01", description="CPUs reserved for a session")
    cpu_limit: Annotated[Quantity, AfterValidator(_at_least("cpu_guarantee"))] = Field(
        "1", validate_default=True, description="maximum CPUs of a session"
    )
    storage_guarantee: Bytes = Field("1G", description="disk of the node reserved for a session")
    storage_limit: Annotated[Bytes, AfterValidator(_at_least("storage_guarantee"))] = Field(
        "10G",
        validate_default=True,
        description="maximum disk of the node for a session; a session that exceeds it ends",
    )
    gpus: int = Field(0, ge=0, le=64, description="GPUs of a session")
    gpu_resource: Annotated[str, StringConstraints(pattern=f"^{_PREFIX}{_NAME}$")] = Field(
        "nvidia.com/gpu", description="name of the GPU resource in the cluster"
    )
    node_selector: Annotated[dict[LabelKey, LabelValue], BeforeValidator(structured)] = Field(
        {}, description="JSON object: labels of the nodes that run sessions"
    )
    tolerations: Annotated[tuple[Toleration, ...], BeforeValidator(structured)] = Field(
        (),
        description="JSON list of taints that sessions tolerate: `key`, `operator`, `value`, `effect`, "
        "`tolerationSeconds`",
    )
    runtime_class: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")] = Field(
        "", description="RuntimeClass of sessions, such as `gvisor`; empty: the cluster's default"
    )
    user_namespaces: bool = Field(
        False, description="`true`: each session has a user namespace of its own (`hostUsers: false`)"
    )
    session_environment: Annotated[dict[Name, Value], BeforeValidator(structured)] = Field(
        {}, description="JSON object: more environment variables of each session; its visitor sees them"
    )
