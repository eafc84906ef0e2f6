"""`python -m bindery`."""

import sys

from bindery.operate.commands import main

sys.exit(main())
