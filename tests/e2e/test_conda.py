"""A conda repository on one machine: from the link to a kernel that uses its packages."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.serving.conda_channel import Channel, served
from tests.serving.git_http import GitServer, make_repository
from tests.serving.kernel import Session
from tests.serving.runtime import LocalRuntime


def test_a_kernel_of_a_conda_repository_has_its_packages_and_variables(
    home: Path, tmp_path: Path, git_server: GitServer, spec_of: Callable[..., str]
) -> None:
    channel = Channel(tmp_path / "channels" / "conda-forge")
    channel.python()
    channel.add("pip", "24.0", {"share/pip": ""}, ("python",))
    channel.module("greeting", "1.0")
    activate = {"etc/conda/activate.d/toolbox.sh": 'export TOOLBOX_DATA="$CONDA_PREFIX/share"\n'}
    channel.add("toolbox", "1", {**activate, "share/toolbox": "x"})
    channel.index()
    make_repository(
        git_server.root / "conda.git",
        {"environment.yml": json.dumps({"dependencies": ["greeting", "toolbox"]}), "start": '#!/bin/sh\nexec "$@"\n'},
    )
    with (
        served(tmp_path / "channels") as address,
        LocalRuntime(home, allowed_private_hosts=git_server.address, conda_channels=address) as bindery,
    ):
        launched = bindery.launch(spec_of("conda.git"))
        assert launched.last.phase == "ready", launched.last.message
        assert "Installing 4 conda packages" in launched.text
        code = "import greeting, os; print(greeting.version, os.path.exists(os.environ['TOOLBOX_DATA'] + '/toolbox'))"
        assert Session.of(launched.last.data).run(code) == "1.0 True\n"
