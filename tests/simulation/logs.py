"""The code's log lines, before any text in them is hidden."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bindery.lambda_support.logging import logger


@contextmanager
def listening(handle_line: Callable[[str], None]) -> Iterator[None]:
    """Send lines only to `handle_line` while the block lasts. An error that comes along is included as its last line."""

    def listen(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        handle_line(f"{record.getMessage()} {error or ''}")
        return False  # and the line goes to no other place

    logger()  # made before its filters are asked for
    log = logging.getLogger("bindery")
    filters, log.filters = log.filters, [listen]
    try:
        yield
    finally:
        log.filters = filters
