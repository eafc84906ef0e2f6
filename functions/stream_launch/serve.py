"""Server process that the Lambda Web Adapter starts through run.sh. It runs the app on the adapter's port."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn


def server() -> uvicorn.Server:
    """Return a server that is ready to run.

    A start makes no garbage, so the collector, which takes a tenth of the start, waits until its end.
    """
    gc.disable()
    import uvicorn

    port = int(os.environ.get("AWS_LWA_PORT", "8080"))
    config = uvicorn.Config(
        "handler:app", factory=True, host="127.0.0.1", port=port, access_log=False, proxy_headers=False
    )
    config.load()
    gc.freeze()
    gc.enable()
    return uvicorn.Server(config)


if __name__ == "__main__":
    server().run()
