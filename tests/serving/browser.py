"""A real browser: Debian's Chromium, driven by Playwright, that talks to nobody but this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# Every other name leads nowhere, so that no test and no habit of the browser's can reach further.
RULES = "--host-resolver-rules={names}MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"


def executable() -> str | None:
    """Chromium's path, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium(home: Path, *names: str) -> Iterator[Browser]:
    """A headless browser that keeps what it writes in `home`. Skips the test where there is none.

    names: those that lead to this machine, as if a name server said so.
    """
    path = executable()
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    environment: dict[str, str | float | bool] = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    arguments = [*ARGUMENTS, RULES.format(names="".join(f"MAP {name} 127.0.0.1, " for name in names))]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments, env=environment)
        try:
            yield browser
        finally:
            browser.close()
