"""`python -m loop` is `stylematte`."""

import sys

from loop.cli import main

sys.exit(main())
