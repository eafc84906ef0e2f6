"""A real browser: Debian's Chromium, driven by Playwright. It reaches this machine alone."""

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
# Every other name leads nowhere, so neither a test nor a habit of the browser can reach another machine.
RULES = "--host-resolver-rules={names}MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"


def executable() -> str | None:
    """Return Chromium's path, or None."""
    return next((program for name in NAMES if (program := shutil.which(name))), None)


@contextmanager
def chromium(home: Path, *names: str) -> Iterator[Browser]:
    """Run a headless browser that writes its files in `home`. Skip the test on a machine without Chromium.

    names: host names that lead to this machine, as if a name server said so.
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
