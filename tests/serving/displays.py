"""The display data of two providers, for tests of pages: one recognises addresses, the other quotes them."""

from bindery.ports.repository_provider import Display

GITHUB = Display(
    name="GitHub",
    example="binder-examples/requirements/HEAD",
    regex=r"[^/]+/[^/]+/.+",
    detect=r"^(https?://github\.com/)?(?<repo>[^/]+/[^/]+)(/(blob|tree)/(?<ref>[^/]+)(/(?<filepath>.+))?)?/?$",
    repo_label="GitHub repository name or URL",
    repo_placeholder="example: yuvipanda/requirements",
    url_encode=False,
    ref_default="HEAD",
)
GIT = Display(
    name="Git repository",
    example="https%3A%2F%2Fgit.example.org%2Fo%2Fr/HEAD",
    regex=r"[^/]+/.+",
    detect=None,
    repo_label="Arbitrary git repository URL",
    repo_placeholder="https://git.example.com/my/repo",
    url_encode=True,
    ref_default="HEAD",
)
