"""The Pods' bridge, and the way from it to the host and to the outside."""

import json
import subprocess
from pathlib import Path

from tests.cluster.place import Place, taken

FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")


def make(place: Place) -> None:
    """The bridge is there before the first Pod: servers for Pods can listen on the host's address at once."""
    before = next((path for path in (other.folder / "ip_forward" for other in taken()) if path.exists()), FORWARDS)
    (place.folder / "ip_forward").write_text(before.read_text())
    FORWARDS.write_text("1")
    _run("ip", "link", "add", place.bridge, "type", "bridge")
    _run("ip", "address", "add", f"{place.host_address}/24", "dev", place.bridge)
    _run("ip", "link", "set", place.bridge, "up")
    for rule in _rules(place):
        subprocess.run(["iptables", "--wait", *rule], capture_output=True)  # without it, Pods reach the host alone


def remove(place: Place) -> None:
    """The Pods' ends and the bridge, the rules, and forwarding as it was before the first cluster."""
    for rule in _rules(place):
        undo = ["--delete" if word in ("--append", "--insert") else word for word in rule]
        while subprocess.run(["iptables", "--wait", *undo], capture_output=True).returncode == 0:
            pass
    for end in _links("master", place.bridge):
        subprocess.run(["ip", "link", "delete", end], capture_output=True)
    subprocess.run(["ip", "link", "delete", place.bridge], capture_output=True)
    before = place.folder / "ip_forward"
    if before.exists() and set(taken()) <= {place}:
        FORWARDS.write_text(before.read_text())


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
