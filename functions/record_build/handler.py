"""Event of the build service: a build changed its state."""

from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from bindery.adapters.aws.codebuild_report import changed
from bindery.bootstrap import system
from bindery.lambda_support.logging import logged


@logged
def handler(event: dict[str, object], context: LambdaContext) -> None:
    """Handle one event. It is only a hint to ask the build service."""
    system().record_build(changed(EventBridgeEvent(event).detail))
