"""The secrets that never get into the logs."""

import io
import json
import logging

import pytest

from bindery.lambda_support.logging import Redaction, alarm, logged, logger
from bindery_local.aws_events import Context


@pytest.mark.parametrize(
    "text",
    [
        "GET /build/gh/o/r/HEAD?build_token=hush.hush.hush&x=1",
        "Authorization: Bearer hush",
        "authorization=token hush",
        '{"token": "hush"}',
        "{'secret': 'hush'}",
        "JUPYTER_TOKEN=hush",
    ],
)
def test_texts_that_look_like_tokens_are_redacted(text: str) -> None:
    record = logging.LogRecord("bindery", logging.INFO, "", 0, "it said %s", (text,), None)
    Redaction().filter(record)
    assert "hush" not in record.getMessage()
    assert "it said" in record.getMessage()


def test_ordinary_text_is_not_redacted() -> None:
    record = logging.LogRecord("bindery", logging.INFO, "", 0, "3 of 40 sessions do not answer", (), None)
    Redaction().filter(record)
    assert record.getMessage() == "3 of 40 sessions do not answer"


def test_a_crash_of_a_handler_is_logged_with_its_request_and_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    @logged
    def handler(event: dict[str, object], context: object) -> None:
        raise RuntimeError("on purpose")

    output = io.StringIO()
    monkeypatch.setattr(logger().registered_handler, "stream", output)
    context = Context("start_session")
    with pytest.raises(RuntimeError, match="on purpose"):
        handler({}, context)  # type: ignore[arg-type]  # Lambda's context is a class without a public constructor
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert lines[-1]["message"] == "crashed"
    assert lines[-1]["function"] == "start_session"
    assert lines[-1]["request"] == context.aws_request_id


def test_an_alarm_is_one_log_line_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(logger().registered_handler, "stream", output)
    alarm("ClusterRefused", "no way into the cluster: token=hush is old")
    (line,) = output.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["alarm"]) == ("ERROR", "ClusterRefused")
    assert record["message"] == "no way into the cluster: token=*** is old"
