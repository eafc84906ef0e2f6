"""`python -m bindery_local`: runs Bindery on this machine until it is stopped."""

import argparse
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

ROOT = Path(__file__).parents[3]
NOT_THERE = (
    "BINDERY_PUBLIC_URL is set, but as sessions are not isolated, Bindery answers only to this machine's own names: "
    "links to it lead nowhere. Unset it, or have sessions on a cluster."
)


def main() -> None:
    """Set the environment variables, then run Bindery. Modules that read the variables are imported afterwards."""
    from bindery.cli.commands import check_settings
    from bindery_local.setup import prepare, set_environment
    from bindery_local.template import read

    parser = argparse.ArgumentParser(prog="python -m bindery_local", description=__doc__)
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml")
    system = read(parser.parse_args().template)
    set_environment(system.environment)

    settings = check_settings()
    listener = _listen(settings.port)
    with prepare(Path(settings.home).expanduser().absolute()):  # before bootstrap reads the secret, which it does once
        from bindery import bootstrap
        from bindery.setting_warnings import blind_to_clients, open_to_other_names
        from bindery_local import cluster_checks
        from bindery_local.adapters import LocalAdapters
        from bindery_local.runtime import Runtime

        adapters = LocalAdapters(bootstrap.settings())
        bootstrap.install(lambda _: adapters)
        cluster_checks.check_builder(adapters)
        more = [cluster_checks.where(adapters)] if adapters.isolated else _here(settings.public_url)
        more += [warning for warning in (blind_to_clients(settings), open_to_other_names(settings)) if warning]
        threading.Thread(target=_tell, args=(listener, more), daemon=True).start()
        Runtime(system, listener, adapters).run()


def _here(public_url: str) -> list[str]:
    """Return the notes for sessions that are processes of this machine."""
    return [NOT_THERE] if public_url else []


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        raise SystemExit(
            f"Port {port} is in use. Stop what uses it, or choose another: BINDERY_PORT=8586 make up"
        ) from None
    return listener


def _tell(listener: socket.socket, more: list[str]) -> None:
    """Print the address and other notes as soon as /health reports ok."""
    import httpx

    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(trust_env=False, timeout=5) as client:
        while not _well(client, f"{address}/health"):  # recovery after a crash may take some time
            threading.Event().wait(0.02)
    print("\n".join((f"Bindery is at {address}/", *more)), flush=True)


def _well(client: "httpx.Client", health: str) -> bool:
    import httpx

    try:
        return client.get(health).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.path.insert(0, os.fspath(ROOT))
    main()
