"""``python -m agents``, which the launcher runs."""

import sys

from agents.cli import main

sys.exit(main())
