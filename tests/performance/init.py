"""The work of a function before its first message. It runs by itself in a fresh process, on any Python, without
tests' code.

Arguments: the folder of the functions, and a function's name or `bare`. Prints JSON: seconds, seconds of a processor,
modules.
"""

import time

BEGUN, USED = time.perf_counter(), time.process_time()  # before any other module is loaded

import importlib  # noqa: E402
import sys  # noqa: E402

VERBS = {"stream_launch": "stream"}
HOST = "gh"


def bare() -> None:
    """Load the parts that no function on DynamoDB can do without."""
    import boto3

    boto3.client("dynamodb")


def function(name: str) -> None:
    """Load a function's handler, its use case and their clients, as the first message does. No request goes over a
    network.
    """
    if name == "stream_launch":  # as run.sh starts it
        importlib.import_module("serve").server()
    importlib.import_module("handler")
    from bindery.bootstrap import system

    root = system()
    getattr(root, VERBS.get(name, name))
    if name in ("stream_launch", "resolve_repository", "answer_api", "serve_pages"):
        root.ports.provider(HOST)
    if name in ("resolve_repository", "start_build", "record_build", "reconcile"):
        _ = root.ports.builds.name


if __name__ == "__main__":
    folder, name = sys.argv[1:]
    sys.path.insert(0, f"{folder}/{name}")
    bare() if name == "bare" else function(name)
    took, used = time.perf_counter() - BEGUN, time.process_time() - USED
    loaded = sorted(sys.modules)
    import json

    sys.stdout.write(json.dumps({"seconds": took, "processor": used, "modules": loaded}) + "\n")
