"""What every suite shares."""

import os

# Nothing that a person has set for their own Bindery may change what a test sees.
for name in [name for name in os.environ if name.startswith("BINDERY_")]:
    del os.environ[name]
