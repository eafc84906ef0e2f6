"""CodeBuild on this machine: its API as the adapter calls it, and builds that really run the buildspec, phase by phase."""

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import botocore.session
import yaml
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import validate_parameters

PROJECT = "bindery"
ARN = "arn:aws:codebuild:eu-central-1:123456789012:build/"
BEFORE = ("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")
FATAL = ("install", "pre_build")  # no phase follows these; after a failed build, post_build follows


@dataclass
class Build:
    """A build. phases: name and status, in the order in which they ended. lines: the content of its log group."""

    id: str
    variables: dict[str, str]
    minutes: float
    status: str = "IN_PROGRESS"
    phases: list[tuple[str, str, str]] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    process: "subprocess.Popen[bytes] | None" = None
    cut: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def described(self) -> dict[str, Any]:
        """Return the build as BatchGetBuilds has it."""
        exported = [{"name": name, "value": value} for name, value in self.exported.items()]
        phases = [
            {"phaseType": name, "phaseStatus": status, "contexts": [{"message": words}] if words else []}
            for name, status, words in self.phases
        ]
        return {
            "id": self.id,
            "arn": ARN + self.id,
            "projectName": PROJECT,
            "buildStatus": self.status,
            "phases": phases,
            "exportedEnvironmentVariables": exported,
            "timeoutInMinutes": int(self.minutes),
            "buildComplete": self.ended.is_set(),
        }

    def event(self) -> dict[str, Any]:
        """Return the detail of CodeBuild's state change, in the shape of AWS's documentation."""
        variables = [{"name": name, "type": "PLAINTEXT", "value": value} for name, value in self.variables.items()]
        return {
            "build-status": self.status,
            "project-name": PROJECT,
            "build-id": ARN + self.id,
            "additional-information": {
                "environment": {"privileged-mode": True, "type": "LINUX_CONTAINER", "environment-variables": variables},
                "build-complete": self.status != "IN_PROGRESS",
            },
            "version": "1",
        }


@dataclass
class BuildMachine:
    """The client that the adapter calls. Every call is checked against boto3's own model of CodeBuild.

    environment: variables of every build, the project's included; the buildspec's variables give way to them.
    around: the command that runs the build's commands, such as `nsenter`.
    on_line: called with each line of the log, when it is written. changed: called with an event's detail.
    """

    folder: Path
    buildspec: str
    environment: Mapping[str, str]
    on_line: Callable[[str], None]
    changed: Callable[[dict[str, Any]], None]
    around: Sequence[str] = ()
    minute: float = 60.0
    prepare: Callable[[Path], None] = lambda home: None
    builds: dict[str, Build] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def start_build(self, **request: Any) -> dict[str, Any]:
        _check("StartBuild", request)
        with self.turn:
            token = request["idempotencyToken"]
            if token not in self.tokens:
                build = self._create(request)
                self.tokens[token] = build.id
                threading.Thread(target=self._run, args=[build], daemon=True).start()
            return {"build": self.builds[self.tokens[token]].described()}

    def batch_get_builds(self, **request: Any) -> dict[str, Any]:
        _check("BatchGetBuilds", request)
        builds = [self.builds[name] for name in request["ids"] if name in self.builds]
        missing = [name for name in request["ids"] if name not in self.builds]
        return {"builds": [build.described() for build in builds], "buildsNotFound": missing}

    def stop_build(self, **request: Any) -> dict[str, Any]:
        _check("StopBuild", request)
        if request["id"] not in self.builds:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no such build"}}, "StopBuild")
        build = self.builds[request["id"]]
        self._cut(build, "STOPPED")
        return {"build": build.described()}

    def forget_tokens(self) -> None:
        """Forget the clients' tokens, as AWS does after five minutes."""
        with self.turn:
            self.tokens.clear()

    def close(self) -> None:
        for build in self.builds.values():
            self._cut(build, "STOPPED")
            assert build.ended.wait(30), "a build did not end"

    def _create(self, request: dict[str, Any]) -> Build:
        assert request["projectName"] == PROJECT
        variables = {each["name"]: each["value"] for each in request["environmentVariablesOverride"]}
        assert sum(map(len, variables.values())) < 5_500
        build = Build(f"{PROJECT}:{uuid.uuid4()}", variables, request["timeoutInMinutesOverride"])
        self.builds[build.id] = build
        return build

    def _cut(self, build: Build, why: str) -> None:
        with build.turn:
            if build.ended.is_set() or build.cut:
                return
            build.cut = why
            if build.process is not None:
                _kill(build.process)

    def _run(self, build: Build) -> None:
        timer = threading.Timer(build.minutes * self.minute, self._cut, [build, "TIMED_OUT"])
        timer.daemon = True
        timer.start()
        try:
            self._go_through(build)
        finally:
            timer.cancel()
        build.phases.append(("COMPLETED", "SUCCEEDED", ""))
        with build.turn:
            bad = [status for _, status, _ in build.phases if status != "SUCCEEDED"]
            build.status = build.cut or (bad[0] if bad else "SUCCEEDED")
            if build.status != "SUCCEEDED":
                build.exported = {}  # AWS's documentation promises them for no other build
            build.ended.set()
        self.changed(build.event())

    def _go_through(self, build: Build) -> None:
        spec = yaml.safe_load(self.buildspec)
        assert spec["version"] == 0.2
        assert set(spec) <= {"version", "env", "phases"}
        home = self.folder / build.id.partition(":")[2]
        home.mkdir(parents=True)
        self.prepare(home)
        variables = {**spec["env"]["variables"], **self.environment, **build.variables, "BINDERY_HOME": str(home)}
        environment = {**variables, "CODEBUILD_BUILD_ID": build.id, "CODEBUILD_BUILD_ARN": ARN + build.id}
        state = home / "shell-state"
        build.phases += [(name, "SUCCEEDED", "") for name in BEFORE]
        for name in ("install", "pre_build", "build", "post_build"):
            phase = spec["phases"].get(name, {})
            assert set(phase) <= {"runtime-versions", "commands", "finally"}
            code = self._phase(build, phase, environment, state)
            words = f"Error while executing command. Reason: exit status {code}" if code else ""
            build.phases.append((name.upper(), (build.cut or "FAILED") if code or build.cut else "SUCCEEDED", words))
            if build.cut or (code and name in FATAL):
                break
        build.exported = {
            name: value for name in spec["env"]["exported-variables"] if (value := _variable(state, name))
        }

    def _phase(self, build: Build, phase: dict[str, Any], environment: dict[str, str], state: Path) -> int:
        """Run all commands of a phase in one shell, and keep their exported variables for the next phase."""
        commands = "\n".join(f"{{ {command}\n}} || exit $?" for command in phase.get("commands", []))
        last = "\n".join(phase.get("finally", []))
        script = f'[ -e "{state}" ] && . "{state}"\ntrap \'code=$?; {last}\nexport -p > "{state}"; exit $code\' EXIT\n{commands}\n'
        with build.turn:
            if build.cut:
                return 1
            build.process = subprocess.Popen(
                [*self.around, "sh", "-c", script],
                env=environment,
                cwd=state.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert build.process.stdout is not None
        self._follow(build, build.process.stdout)
        return build.process.wait()

    def _follow(self, build: Build, output: IO[bytes]) -> None:
        with output:
            for line in output:
                build.lines.append(line.decode().rstrip("\n"))
                self.on_line(build.lines[-1])


def _variable(state: Path, name: str) -> str:
    """Return the value of a variable in a shell that reads the saved state."""
    if not state.exists():
        return ""
    shell = ["sh", "-c", f'. "{state}"; printf %s "${{{name}}}"']
    return subprocess.run(shell, env={"PATH": os.defpath}, capture_output=True, text=True, check=True).stdout


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the whole machine.

    Processes in other sessions run under keepers, and a keeper ends together with its process.
    """
    try:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("codebuild")


def _check(operation: str, request: dict[str, Any]) -> None:
    shape = _model().operation_model(operation).input_shape
    assert shape is not None
    validate_parameters(request, shape)
