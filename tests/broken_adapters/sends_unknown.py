# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "acme"
# ///
"""The header names the vendor where it has to say that there is one."""
# fails: card
# words: sends is 'local' or 'vendor', got 'acme'

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
