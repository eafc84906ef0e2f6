"""Every call that clients of AWS make, as the rights it needs, by the function that makes it."""

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
"""Whatever the template names `X` is called `physical-X` here, so that a call tells which one it is for."""
NAMES = {name.lower(): name for name in RESOURCES}  # ECR has none with capitals
CHANGES = {"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}


class Recorder:
    """used: rights by function. written: partition keys of the items that it puts into the table, by function."""

    def __init__(self) -> None:
        self.used: dict[str, set[Right]] = defaultdict(set)
        self.written: dict[str, set[str]] = defaultdict(set)
        self._acting = ""

    @contextmanager
    def listening(self, *others: Callable[..., None]) -> Iterator[None]:
        """To every client that is made meanwhile, whoever makes it; others are told of each call, too."""
        create = Session.create_client

        def created(session: Session, *given: Any, **named: Any) -> BaseClient:
            client: BaseClient = create(session, *given, **named)
            for told in (self._heard, *others):
                client.meta.events.register("before-parameter-build", told)
            return client

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "create_client", created)
            yield

    @contextmanager
    def acting(self, function: str) -> Iterator[None]:
        """Calls that are made meanwhile are this function's; of others nothing is kept."""
        self._acting, before = function, self._acting
        try:
            yield
        finally:
            self._acting = before

    def _heard(self, params: Mapping[str, Any], model: OperationModel, **_: object) -> None:
        if self._acting:
            self.used[self._acting].update(_rights(params, model))
            self.written[self._acting].update(_written(params))


def _rights(params: Mapping[str, Any], model: OperationModel) -> Iterator[Right]:
    service = model.service_model.signing_name
    if model.name == "TransactWriteItems":  # no action of its own
        for change in params["TransactItems"]:
            for kind, what in change.items():
                yield Right(f"dynamodb:{CHANGES[kind]}", _resource(what["TableName"]))
        return
    action = {"SendMessageBatch": "SendMessage"}.get(model.name, model.name)  # the right's name is the single call's
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    yield Right(f"{service}:{action}", _resource(str(params)) + index)


def _written(params: Mapping[str, Any]) -> Iterator[str]:
    """Return the partition keys of what a call to DynamoDB puts, alone or in a transaction."""
    puts = [change["Put"] for change in params.get("TransactItems", ()) if "Put" in change]
    for put in (params, *puts):
        if "TableName" in put and "Item" in put:
            yield put["Item"]["pk"]["S"]


def _resource(told: str) -> str:
    """What the call is for; `*` for one that names nothing."""
    named = re.search(rf"{PHYSICAL}-(\w+)", told)
    return NAMES.get(named[1].lower(), named[1]) if named else "*"
