"""`python -m crossmod` is `crossmod`."""

import sys

from crossmod.cli import main

sys.exit(main())
