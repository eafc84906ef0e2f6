"""The images that a Dockerfile begins from, as far as the file shows them. Any text is read quickly and within bounds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindery_builder.images.from_lines import MOST_IMAGES, host_of, images_of

DIGEST = "sha256:" + "a" * 64


def images_in(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "Dockerfile"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    return images_of(file)


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM ubuntu", ["ubuntu"]),
        ("from quay.io/jupyter/base-notebook:2024-10-07\nRUN FROM=x", ["quay.io/jupyter/base-notebook:2024-10-07"]),
        (f"FROM rocker/binder:4@{DIGEST} AS base", [f"rocker/binder:4@{DIGEST}"]),
        ("FROM localhost:5000/a/b", ["localhost:5000/a/b"]),
        ("FROM a AS one\nFROM b as TWO\nFROM ONE\nFROM two\nFROM c", ["a", "b", "c"]),
        ("FROM scratch\nCOPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/", ["ghcr.io/astral-sh/uv:0.9"]),
        ("FROM a AS x\nCOPY --chown=1 --from=x /f /\nCOPY --from=0 /f /", ["a"]),
        ("ARG TAG=22.04\nFROM ubuntu:${TAG}", ["ubuntu:22.04"]),
        ('ARG A="jupyter"\nARG B=$A/base\nFROM quay.io/$B:x', ["quay.io/jupyter/base:x"]),
        ("ARG A=1 B=2\nFROM x:$A$B", ["x:12"]),
        ("FROM x:${TAG:-7}", ["x:7"]),
        ("ARG TAG\nFROM x:${TAG:-7}", ["x:7"]),
        ("FROM \\\n  # a comment between\n  ubuntu \\\n  AS base", ["ubuntu"]),
        ("# escape=`\nFROM `\n ubuntu", ["ubuntu"]),
        ("# syntax=docker/dockerfile:1\n# escape=`\nFROM a", ["a"]),
        ("# FROM no\n\n  FROM yes", ["yes"]),
        ("FROM a\nRUN <<EOF\nFROM no\nEOF\nFROM b", ["a", "b"]),
        ("FROM a\nCOPY <<-'ONE' <<TWO /x/\nFROM no\nONE\nFROM no2\nTWO\nFROM b", ["a", "b"]),
        ("FROM a\nFROM a", ["a"]),
    ],
)
def test_an_image_in_a_from_line_is_found(tmp_path: Path, text: str, images: list[str]) -> None:
    assert images_in(tmp_path, text) == images


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM",
        "FROM scratch",
        "FROM $UNKNOWN",
        "ARG A\nFROM x:$A",
        "FROM a:$TAG\nARG TAG=1",  # after the first FROM, an argument belongs to its stage
        "FROM ${A:+x}",
        "FROM --platform=linux/arm64 ubuntu",
        "FROM --platform=$BUILDPLATFORM ubuntu",
        "FROM docker://ubuntu",
        "FROM oci-archive:/etc/passwd",
        "FROM -v",
        "FROM --privileged",
        "FROM ../../x",
        "FROM http://x/y",
        "FROM x;y",
        "FROM UPPER",
        "FROM a:b:c",
        f"FROM {'a' * 300}",
        "RUN echo FROM x",
    ],
)
def test_an_image_that_cannot_be_determined_is_left_to_the_build(tmp_path: Path, text: str) -> None:
    assert images_in(tmp_path, text) == []


def test_at_most_a_few_images_are_found(tmp_path: Path) -> None:
    assert len(images_in(tmp_path, "".join(f"FROM image{n}\n" for n in range(1000)))) == MOST_IMAGES


def test_a_file_larger_than_any_dockerfile_is_read_up_to_a_limit(tmp_path: Path) -> None:
    assert images_in(tmp_path, "FROM a\n" + "#" * 1_000_000 + "\nFROM b\n") == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "FROM " + "a." * 90_000,
        "FROM " + "a-" * 90_000 + "!",
        "FROM " + "--x=y " * 30_000,
        "FROM x " + " " * 190_000 + "y",
        "COPY " + "--a " * 45_000 + "x",
        "ARG " + "A=1 " * 45_000 + "\nFROM x",
        "ARG " + "A" * 190_000 + "\nFROM x",
        "".join(f"ARG A{n}=$A{n - 1}$A{n - 1}\n" for n in range(8_000)) + "FROM $A7999",
        "ARG A0=aaaaaaaaaa\n" + "".join(f"ARG A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 200)) + "FROM $A199",
        "FROM " + "${A:-" * 30_000,
        "\\\n" * 90_000,
        "RUN " + "<<A " * 45_000 + "\n" + "x\n" * 100,
        "# escape" + " " * 190_000,
    ],
)
@pytest.mark.timeout(120)  # work that is quadratic in the file's length takes longer on any machine
def test_a_hostile_file_is_read_completely(tmp_path: Path, text: str) -> None:
    assert len(images_in(tmp_path, text)) <= 1


@given(st.text())
def test_any_text_can_be_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    names = images_in(tmp_path_factory.getbasetemp(), text)
    assert all(not name.startswith("-") and " " not in name for name in names)


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("ubuntu", "docker.io"),
        ("jupyter/base-notebook:1", "docker.io"),
        ("docker.io/library/ubuntu", "docker.io"),
        ("index.docker.io/x/y", "docker.io"),
        ("public.ecr.aws/docker/library/ubuntu", "public.ecr.aws"),
        ("localhost/x", "localhost"),
        ("host:5000/x", "host:5000"),
        ("ubuntu:22.04", "docker.io"),
        (f"ubuntu@{DIGEST}", "docker.io"),
    ],
)
def test_the_host_of_an_image_is_the_same_as_for_container_tools(image: str, host: str) -> None:
    assert host_of(image) == host
