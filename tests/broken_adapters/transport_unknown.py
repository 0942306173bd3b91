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
# transport = ["address"]
# ///
"""The card says of an option that does not exist that it cannot change an answer."""
# fails: card
# words: transport names 'address'

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
