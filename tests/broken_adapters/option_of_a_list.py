# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""An option has a type that a command line cannot give."""
# fails: options
# words: option labels is of type list

import nova_bench as nb


def load(*, labels: list[str] = ["yes", "no"]) -> nb.Adapter:  # noqa: B006
    return nb.each(lambda request: "a brain")
