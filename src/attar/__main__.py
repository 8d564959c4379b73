"""``python -m attar``: the shell command without its entry point."""

import sys

from attar.cli import main

sys.exit(main())
