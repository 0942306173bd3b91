"""What Acme offers to nova-bench; leaves a mark when any of it is imported, which listing must not do."""

import os
from pathlib import Path

if "ACME_MARK" in os.environ:
    Path(os.environ["ACME_MARK"]).touch()
