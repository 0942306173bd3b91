# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "rule-based stand-in"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# only_judges = true
# ///
"""Stand-in for a judge, made of word lists: it shows that judging works, not how good an answer is. Only for --judge, and only by name."""

import nova_bench as nb
from nova_bench.rule_based_judge import rule_based_judge


def load() -> nb.Adapter:
    """Return the adapter; there is nothing to load."""
    return rule_based_judge()
