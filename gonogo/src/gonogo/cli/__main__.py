"""``python -m gonogo.cli``: the same program as ``gonogo``."""

import sys

from gonogo.cli.main import main

sys.exit(main())
