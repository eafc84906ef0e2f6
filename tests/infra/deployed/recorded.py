"""Every call of clients of AWS, as the rights that it needs, by the function that makes it."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.model import OperationModel
from botocore.session import Session

from tests.infra.deployed.rights import RESOURCES, Right

PHYSICAL = "physical"
"""The prefix of physical names: a resource `X` of the template is called `physical-X`, so that a call shows its resource."""
NAMES = {name.lower(): name for name in RESOURCES}  # ECR allows no capitals in names
CHANGES = {"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}


class Recorder:
    """A recorder of functions' calls.

    used: rights by function. written: partition keys of the items that it puts into the table, by function.
    """

    def __init__(self) -> None:
        self.used: dict[str, set[Right]] = defaultdict(set)
        self.written: dict[str, set[str]] = defaultdict(set)
        self._acting = ""

    @contextmanager
    def listening(self, *others: Callable[..., None]) -> Iterator[None]:
        """Listen to every client that is made meanwhile, by any code.

        others: these hear each call, too.
        """
        create = Session.create_client

        def created(session: Session, *arguments: Any, **options: Any) -> BaseClient:
            client: BaseClient = create(session, *arguments, **options)
            for listener in (self._record, *others):
                client.meta.events.register("before-parameter-build", listener)
            return client

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "create_client", created)
            yield

    @contextmanager
    def acting(self, function: str) -> Iterator[None]:
        """Count the calls that are made meanwhile as this function's. Calls outside of such a block are not kept."""
        self._acting, before = function, self._acting
        try:
            yield
        finally:
            self._acting = before

    def _record(self, params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        if self._acting:
            self.used[self._acting].update(_rights(params, model))
            self.written[self._acting].update(_written(params))


def _rights(params: Mapping[str, Any], model: OperationModel) -> Iterator[Right]:
    service = model.service_model.signing_name
    if model.name == "TransactWriteItems":  # it has no action of its own
        for change in params["TransactItems"]:
            for kind, write in change.items():
                yield Right(f"dynamodb:{CHANGES[kind]}", _resource(write["TableName"]))
        return
    action = {"SendMessageBatch": "SendMessage"}.get(model.name, model.name)  # the right's name is the single call's
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    yield Right(f"{service}:{action}", _resource(str(params)) + index)


def _written(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the partition keys of the items that a call to DynamoDB puts, alone or in a transaction."""
    puts = [change["Put"] for change in params.get("TransactItems", ()) if "Put" in change]
    for put in (params, *puts):
        if "TableName" in put and "Item" in put:
            yield put["Item"]["pk"]["S"]


def _resource(target: str) -> str:
    """Return the resource that the call is for; `*` if the call names no resource."""
    match = re.search(rf"{PHYSICAL}-(\w+)", target)
    return NAMES.get(match[1].lower(), match[1]) if match else "*"
