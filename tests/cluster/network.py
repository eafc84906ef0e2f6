"""The Pods' bridge, and the way from it to the host and to the outside."""

import json
import subprocess

from tests.cluster import forwarding
from tests.cluster.place import Place


def make(place: Place) -> None:
    """Make the network. The bridge is there before the first Pod, so servers for Pods can listen on the host's
    address at once.
    """
    forwarding.turn_on(place)
    _run("ip", "link", "add", place.bridge, "type", "bridge")
    _run("ip", "address", "add", f"{place.host_address}/24", "dev", place.bridge)
    _run("ip", "link", "set", place.bridge, "up")
    for rule in _rules(place):
        subprocess.run(["iptables", "--wait", *rule], capture_output=True)  # without it, Pods reach only the host


def answer_for_pretended(place: Place) -> None:
    """Route all addresses of kwok's Pods to this machine. One server on 0.0.0.0 answers for all of them."""
    _run("ip", "route", "replace", "local", place.pretended_subnet, "dev", "lo")


def remove(place: Place) -> None:
    """Remove the rules, the Pods' ends of the bridge, and the bridge itself."""
    for rule in _rules(place):
        undo = ["--delete" if word in ("--append", "--insert") else word for word in rule]
        while subprocess.run(["iptables", "--wait", *undo], capture_output=True).returncode == 0:
            pass
    subprocess.run(["ip", "route", "delete", "local", place.pretended_subnet], capture_output=True)
    for end in _links("master", place.bridge):
        subprocess.run(["ip", "link", "delete", end], capture_output=True)
    subprocess.run(["ip", "link", "delete", place.bridge], capture_output=True)
    forwarding.give_back(place)


def _links(*which: str) -> list[str]:
    listed = subprocess.run(["ip", "-json", "link", "show", *which], capture_output=True, text=True)
    return [link["ifname"] for link in json.loads(listed.stdout or "[]") if link]


def _rules(place: Place) -> list[list[str]]:
    outside = ["--source", place.subnet, "!", "--destination", place.subnet]
    return [
        ["--table", "nat", "--append", "POSTROUTING", *outside, "--jump", "MASQUERADE"],
        ["--insert", "FORWARD", "--in-interface", place.bridge, "--jump", "ACCEPT"],
        ["--insert", "FORWARD", "--out-interface", place.bridge, "--jump", "ACCEPT"],
        ["--insert", "INPUT", "--in-interface", place.bridge, "--jump", "ACCEPT"],
    ]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
