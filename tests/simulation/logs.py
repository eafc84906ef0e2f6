"""What the code writes to its log, heard before anything is blanked."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bindery.lambda_support.logging import logger


@contextmanager
def listening(hear: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, lines go to `hear` alone; with an error that comes along as its last line tells it."""

    def listen(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        hear(f"{record.getMessage()} {error or ''}")
        return False  # and nowhere else

    logger()  # made before its filters are asked for
    log = logging.getLogger("bindery")
    filters, log.filters = log.filters, [listen]
    try:
        yield
    finally:
        log.filters = filters
