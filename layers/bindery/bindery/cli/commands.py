"""`bindery <command>`: information and rules for operators."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from bindery import bootstrap
from bindery.cli.hosts_table import host_table
from bindery.cli.plain_errors import plain_message
from bindery.cli.rules import add_commands
from bindery.cli.settings_table import settings_tables
from bindery.cli.unknown_variables import misspelt
from bindery.domain.environment import Scope
from bindery.domain.errors import BinderyError
from bindery.settings import Settings
from bindery.usecases.steps.identify_environment import IdentifyEnvironment
from bindery.usecases.steps.know_commit import KnowCommit
from bindery.web.errors.render import error_message

WHY: Mapping[Scope, str] = {
    Scope.FILES: "these files alone say what is installed: commits that agree in them share an environment",
    Scope.TREE: "something in it may read any of its files: only commits with the very same files share an environment",
    Scope.COMMIT: "its host did not show what the commit holds (a git server needs uploadpack.allowFilter): each one is built",
}
FOREIGN = "; this one is not known to be on a branch or a tag: it builds an environment of its own, built_under"
PRIVATE = "a private repository's sessions fetch nothing: each commit is built"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="bindery", description="Commands for operators.")
    commands = parser.add_subparsers(required=True, metavar="command")
    key = commands.add_parser("key", help="which environment a link has, and what its key is made from")
    key.add_argument("provider", help="such as gh")
    key.add_argument("spec", help="as in a link: owner/repository/HEAD")
    key.set_defaults(run=lambda options: show_key(options.provider, options.spec))
    settings = commands.add_parser("settings", help="every setting as it is in force, secrets blanked")
    settings.add_argument("--table", action="store_true", help="the tables of infra/docs/settings.md, as Markdown")
    settings.set_defaults(run=lambda words: settings_tables() if words.table else show_settings())
    hosts = commands.add_parser(
        "hosts", help="the table of infra/docs/hosts.md: each provider with its spec, refs and cache; as Markdown"
    )
    hosts.set_defaults(run=lambda _: show_hosts())
    add_commands(commands)
    options = parser.parse_args(arguments)
    check_settings()
    try:
        print(options.run(options))
    except BinderyError as error:
        print(error_message(error).message)
        return 1
    return 0


def check_settings() -> Settings:
    """Return the settings in force; write a line to stderr for each variable that only looks like a setting.

    Raises SystemExit with a line for each unusable setting; values are not repeated.
    """
    for line in misspelt(os.environ):
        print(line, file=sys.stderr)
    try:
        return Settings.read()
    except ValidationError as error:
        troubles = error.errors(include_input=False)
        lines = (f"BINDERY_{str(each['loc'][0]).upper()}: {plain_message(each)}" for each in troubles)
        raise SystemExit("These settings cannot be used:\n" + "\n".join(lines)) from None


def show_key(provider_name: str, spec: str) -> str:
    """Return the environment key of a link with its inputs, from a new request to the host."""
    provider = bootstrap.ports().provider(provider_name)
    provider.check(spec)
    repository = provider.resolve(spec).repository
    state = bootstrap.system().state
    identify = IdentifyEnvironment(bootstrap.ports().builds, state.commits)
    identity = identify(provider, repository)
    own = identity.may_be_built_from(repository) or identity.may_be_built_from(
        KnowCommit(state.commits)(provider, repository)
    )
    environment = state.environments.find(identity.key)
    fields = {
        "key": identity.key,
        "depends_on": identity.scope.value,
        "why": PRIVATE if repository.private else WHY[identity.scope] + ("" if own else FOREIGN),
        "inputs": identity.inputs,
        "ref": repository.ref,
        "built_under": identity.key if own else identify.of_commit(repository).key,
        "state": environment.state.value if environment else "never built",
        "image": environment.image if environment else "",
    }
    return json.dumps(fields, indent=2)


def show_hosts() -> str:
    """Return the table of hosts in infra/docs/hosts.md, without providers that are switched off."""
    return host_table((name, provider.display) for name, provider in bootstrap.ports().providers().items())


def show_settings() -> str:
    """Return the settings as JSON; of a secret it shows only that it is set."""
    return bootstrap.settings().model_dump_json(indent=2)
