"""Configuration files of the cluster's parts, with places for the cluster's own values."""

from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent


def write(name: str, path: Path, **values: object) -> Path:
    """Fill in a file of this folder. Raise KeyError for a place without a value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        Template((FOLDER / name).read_text()).substitute({key: str(value) for key, value in values.items()})
    )
    return path
