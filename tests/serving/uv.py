"""The uv that this project installs for itself: the machine may have none."""

import sys
from pathlib import Path

UV = str(Path(sys.executable).parent / "uv")
