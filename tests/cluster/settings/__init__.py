"""Configuration files of the cluster's parts, with places for what is the cluster's own."""

from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent


def write(name: str, path: Path, **values: object) -> Path:
    """Fills in a file of this folder. Raises KeyError for a place without a value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        Template((FOLDER / name).read_text()).substitute({key: str(value) for key, value in values.items()})
    )
    return path
