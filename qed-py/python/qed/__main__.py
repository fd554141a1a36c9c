"""`python -m qed` is the command `qed`."""

import sys

from qed.cli import main

sys.exit(main())
