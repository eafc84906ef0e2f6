"""Tests of `zenodo` from the link to the session. A host of records and a DOI system of this machine are in their
places.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.kernel import Session
from tests.serving.messages import check_readable
from tests.serving.record_hosts import DoiSystem, Zenodo
from tests.serving.runtime import LocalRuntime
from tests.serving.site import Reply


def archive(**files: str) -> bytes:
    """Return an archive as GitHub makes it of a release: all files are in one folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in files.items():
            file.writestr(f"owner-repository-1a2b3c4/{name.replace('_', '.')}", text)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def zenodo() -> Iterator[Zenodo]:
    with DoiSystem() as dois, Zenodo(dois) as host:
        host.publish(201, 200, {"owner/repository-v1.zip": archive(README_md="first\n")})
        host.publish(203, 200, {"owner/repository-v2.zip": archive(README_md="second\n", postBuild="touch built\n")})
        host.publish(301, 300, {"evil.zip": archive(**{"../../evil": "x"})})
        yield host


@pytest.fixture(scope="module")
def with_zenodo(zenodo: Zenodo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    home: Path = tmp_path_factory.mktemp("zenodo") / "home"
    hosts = f"{zenodo.address},{zenodo.dois.address}"
    with LocalRuntime(
        home, allowed_private_hosts=hosts, zenodo_api_url=zenodo.api, doi_url=zenodo.dois.url, reconcile_seconds="2"
    ) as runtime:
        yield runtime


def test_a_doi_becomes_a_session_with_the_newest_versions_files(with_zenodo: LocalRuntime, zenodo: Zenodo) -> None:
    launched = with_zenodo.launch("10.5281/zenodo.200/", provider="zenodo")
    assert launched.last.phase == "ready", launched.last.message
    assert "Picked Zenodo content provider." in launched.text
    assert launched.last.data["binder_persistent_request"] == "v2/zenodo/10.5281/zenodo.203"
    assert launched.last.data["binder_ref_url"] == "https://doi.org/10.5281/zenodo.203"
    session = Session.of(launched.last.data)
    assert session.run("print(open('README.md').read(), end='')") == "second\n"
    assert session.run("import os; print(sorted(os.listdir('.')))").strip() == "['README.md', 'built', 'postBuild']"

    count = len(zenodo.requests)
    again = with_zenodo.launch("10.5281/zenodo.203", provider="zenodo")
    assert again.phases == ["built", "launching", "ready"]
    assert Session.of(again.last.data).run("print(open('README.md').read(), end='')") == "second\n"
    assert not any("content" in path for path in zenodo.requests[count:]), "its files are kept with its environment"


def test_another_version_has_another_environment(with_zenodo: LocalRuntime) -> None:
    launched = with_zenodo.launch("https%3A%2F%2Fdoi.org%2F10.5281%2Fzenodo.201", provider="zenodo")
    assert launched.last.phase == "ready", launched.last.message
    assert Session.of(launched.last.data).run("print(open('README.md').read(), end='')") == "first\n"


def test_the_launch_page_names_the_record(with_zenodo: LocalRuntime) -> None:
    page = with_zenodo.client.get("/v2/zenodo/10.5281/zenodo.203/?labpath=README.md")
    assert page.status_code == 200
    assert "https://doi.org/10.5281/zenodo.203" in page.text


def test_a_doi_redirects_to_the_launch_page_of_its_record(with_zenodo: LocalRuntime) -> None:
    for spec in ("10.5281/zenodo.200", "10.5281/zenodo.200/", "doi:10.5281/zenodo.200"):
        moved = with_zenodo.client.get(f"/v2/doi/{spec}", params={"labpath": "a b.ipynb"})
        assert moved.status_code == 302
        assert moved.headers["location"] == "/v2/zenodo/10.5281/zenodo.200?labpath=a+b.ipynb"
    page = with_zenodo.client.get("/v2/doi/10.5281/zenodo.203", follow_redirects=True)
    assert page.status_code == 200
    assert "https://doi.org/10.5281/zenodo.203" in page.text


def test_a_program_can_launch_a_doi(with_zenodo: LocalRuntime) -> None:
    launched = with_zenodo.launch("10.5281/zenodo.203", provider="doi")
    assert launched.last.phase == "ready", launched.last.message
    assert launched.last.data["binder_request"] == "v2/zenodo/10.5281/zenodo.203"
    assert Session.of(launched.last.data).run("print(open('README.md').read(), end='')") == "second\n"
    failed = with_zenodo.launch("10.1234/none", provider="doi")
    assert failed.phases == ["failed"]
    assert str(failed.last.data["status_code"]) == "404"
    assert "https://doi.org/10.1234/none" in failed.last.message
    check_readable(failed.last.message)


def test_a_doi_without_a_supported_host_is_reported(with_zenodo: LocalRuntime, zenodo: Zenodo) -> None:
    zenodo.dois.targets["10.1234/paper"] = f"{zenodo.url}/papers/1"
    for doi, status, words in (
        ("10.1234/paper", 400, "/papers/1"),
        ("10.1234/none", 404, "10.1234/none"),
        ("x", 400, "not a DOI"),
    ):
        page = with_zenodo.client.get(f"/v2/doi/{doi}")
        assert page.status_code == status
        assert words in page.text


def test_an_archive_that_leaves_its_folder_is_refused_with_its_reason(with_zenodo: LocalRuntime) -> None:
    failed = with_zenodo.launch("10.5281/zenodo.301", provider="zenodo")
    assert failed.last.phase == "failed"
    assert "evil" in failed.last.message
    assert "outside its folder" in failed.last.message
    check_readable(failed.last.message)


def test_a_missing_record_and_an_invalid_doi_have_different_messages(with_zenodo: LocalRuntime, zenodo: Zenodo) -> None:
    zenodo.replies["/api/records/999"] = Reply(410)
    for spec, word in (("10.5281/zenodo.999", "https://doi.org/10.5281/zenodo.999"), ("nothing", "is not a DOI")):
        failed = with_zenodo.launch(spec, provider="zenodo")
        assert failed.phases == ["failed"]
        assert word in failed.last.message
        check_readable(failed.last.message)
