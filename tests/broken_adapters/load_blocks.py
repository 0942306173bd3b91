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
"""load waits for a server that never comes."""
# fails: loads
# words: did not come back within
# timeout: 3

import threading

import nova_bench as nb


def load() -> nb.Adapter:
    threading.Event().wait()
    return nb.each(lambda request: "a brain")
