"""What the Lambda Web Adapter starts, by way of run.sh: the app, on the port that it asks."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn


def server() -> uvicorn.Server:
    """Ready to run. Nothing that a start makes is garbage: looking for some is a tenth of it, and waits until the end."""
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
