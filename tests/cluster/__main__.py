"""Builds, starts and ends a cluster that stays until it is told to go."""

import argparse

from tests.cluster import control_plane
from tests.cluster.binaries import binaries
from tests.cluster.claims import give_up, hand_over, of_this_checkout
from tests.cluster.cluster import Cluster
from tests.cluster.images import images
from tests.cluster.missing import what_is_missing
from tests.cluster.start import start


def build() -> None:
    """Binaries and images, for all clusters to come."""
    print(f"binaries: {binaries()}\nimages: {images()}")


def up() -> None:
    """The one of this checkout if it runs already."""
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
    """Answers what is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    parser.add_argument("command", choices=["build", "up", "down"])
    asked = parser.parse_args().command
    if asked == "down":
        give_up()
        return None
    if missing := what_is_missing():
        return missing
    (up if asked == "up" else build)()
    return None


if __name__ == "__main__":
    raise SystemExit(main())
