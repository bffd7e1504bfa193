"""``python -m agents``, which the launcher runs."""

import sys

from agents.cli.main import main

sys.exit(main())
