# /// script
# requires-python = ">=3.11"
# dependencies = ["nova-bench"]
# [tool.nova-bench]
# name = "Acme MedVLM"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""Acme MedVLM: names the same plane for every slice."""

import nova_bench as nb


def load(*, plane: str = "axial") -> nb.Adapter:
    """Return an adapter that says `plane`, in a sentence."""
    return nb.each(lambda request: f"This is an {plane} slice.")


def load_brief(*, plane: str = "axial", capital: bool = False) -> nb.Adapter:
    """Return an adapter that says `plane` and nothing else."""
    return nb.each(lambda request: plane.upper() if capital else plane)
