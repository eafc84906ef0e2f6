"""Commands that build, start and end a cluster. The cluster stays until a command ends it."""

import argparse

from tests.cluster import control_plane
from tests.cluster.binaries import binaries
from tests.cluster.claims import give_up, hand_over, of_this_checkout
from tests.cluster.cluster import Cluster
from tests.cluster.images import images
from tests.cluster.missing import what_is_missing
from tests.cluster.start import start


def build() -> None:
    """Make the binaries and images for all later clusters."""
    print(f"binaries: {binaries()}\nimages: {images()}")


def up() -> None:
    """Print the settings of this checkout's cluster; start one if none runs yet."""
    ready = [place for place in of_this_checkout() if control_plane.ready(place)]
    if ready:
        cluster = Cluster(ready[0])
    else:
        give_up()
        cluster = start()
        hand_over(cluster.place)
    print(f"export BINDERY_TEST_KUBECONFIG={cluster.kubeconfig}")
    print(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.binaries}:$PATH  # for kubectl")
    print(f"# Gateway: 127.0.0.1:{cluster.gateway_port}, registry: {cluster.registry}, logs: {cluster.folder}/*.log")


def main() -> str | None:
    """Run the command and return a message about missing requirements, or None."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    parser.add_argument("command", choices=["build", "up", "down"])
    command = parser.parse_args().command
    if command == "down":
        give_up()
        return None
    if missing := what_is_missing():
        return missing
    (up if command == "up" else build)()
    return None


if __name__ == "__main__":
    raise SystemExit(main())
