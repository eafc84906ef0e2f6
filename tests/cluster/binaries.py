"""Kubernetes, etcd and Traefik, built from the Go modules beside this file and kept for all checkouts."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.cached import made, place_of

MODULES = Path(__file__).parent
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
BUILT = ("kubernetes", "gateway")
DEFINITIONS = "gateway-api.yaml"
STAGES = "stages.yaml"
ALL = (*KUBERNETES, "etcd", "traefik", DEFINITIONS)


def configured_folder() -> Path | None:
    """Return the folder of ready binaries from the variable that users of envtest set."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    return Path(folder) if folder else None


def binaries() -> Path:
    """Return the folder of the binaries. It also holds the definitions of Gateway API as DEFINITIONS."""
    return configured_folder() or made(built(), _build)


def built() -> Path:
    return place_of("binaries", _sources(*BUILT))


def go_version() -> str:
    """Return the oldest Go version that builds all binaries."""
    declared = [
        re.search(r"^go (\d+)\.(\d+)", (MODULES / module / "go.mod").read_text(), re.MULTILINE) for module in BUILT
    ]
    return "{}.{}".format(*max(tuple(map(int, match.groups())) for match in declared if match))


def kwok() -> Path:
    """Return the folder of `kwok` and its STAGES. Build it at the first call."""
    ready = configured_folder()
    if ready and (ready / "kwok").exists():
        return ready
    return made(place_of("kwok", _sources("kwok")), _build_kwok)


def _build(folder: Path) -> None:
    version = re.search(r"k8s.io/kubernetes (v(\d+)\.(\d+)\.\d+)", (MODULES / "kubernetes/go.mod").read_text())
    assert version is not None
    fields = zip(("gitVersion", "gitMajor", "gitMinor"), version.groups(), strict=True)
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in fields)
    _go_build("kubernetes", f"{folder}/", [f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES], flags)
    _go_build("kubernetes", folder / "etcd", ["go.etcd.io/etcd/server/v3"])
    _go_build("gateway", folder / "traefik", ["github.com/traefik/traefik/v3/cmd/traefik"])
    _copy("gateway", "sigs.k8s.io/gateway-api", ["config/crd/standard/gateway.*.yaml"], folder / DEFINITIONS)


def _build_kwok(folder: Path) -> None:
    _go_build("kwok", folder / "kwok", ["sigs.k8s.io/kwok/cmd/kwok"])
    _copy(
        "kwok",
        "sigs.k8s.io/kwok",
        [f"kustomize/stage/{kind}/fast/[np]o*.yaml" for kind in ("node", "pod")],
        folder / STAGES,
    )


def _copy(module: str, source: str, patterns: Iterable[str], target: Path) -> None:
    """Copy documents of a module's source into one file."""
    folder = Path(_go(module, "list", "-m", "-f", "{{.Dir}}", source).strip())
    documents = [path.read_text() for pattern in patterns for path in sorted(folder.glob(pattern))]
    target.write_text("\n---\n".join(documents))


def _go_build(module: str, target: Path | str, packages: Iterable[str], flags: str = "") -> None:
    _go(module, "build", "-trimpath", "-ldflags", f"-s -w {flags}".strip(), "-o", str(target), *packages)


def _go(module: str, *arguments: str) -> str:
    """Run `go` in a module. Raise RuntimeError with its error output if it fails."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    done = subprocess.run(["go", *arguments], cwd=MODULES / module, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"go {arguments[0]} in {module}: {done.stderr[-2000:]}")
    return done.stdout


def _sources(*modules: str) -> list[bytes]:
    return [(MODULES / module / name).read_bytes() for module in modules for name in ("go.mod", "go.sum")]
