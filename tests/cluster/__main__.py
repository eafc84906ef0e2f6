"""`python -m tests.cluster up`: a cluster that stays until `down`."""

import sys

from tests.cluster.claims import clear_abandoned, hand_over, of_this_checkout
from tests.cluster.clearing import clear
from tests.cluster.cluster import Cluster
from tests.cluster.start import start


def up() -> None:
    ready = of_this_checkout()
    cluster = Cluster(ready[0]) if ready else start()
    hand_over(cluster.place)
    print(f"export BINDERY_TEST_KUBECONFIG={cluster.kubeconfig}")
    print(f"Gateway: http://127.0.0.1:{cluster.gateway_port}, registry: {cluster.registry}, logs: {cluster.folder}")


def down() -> None:
    clear_abandoned()
    for place in of_this_checkout():
        clear(place)


{"up": up, "down": down}[sys.argv[1]]()
