"""``python -m nova_bench`` is ``nova-bench``."""

import sys

from nova_bench.cli import main

sys.exit(main())
