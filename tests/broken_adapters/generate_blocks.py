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
"""The first answer never comes."""
# fails: answers
# words: had no answer; it waits in line
# timeout: 3

import threading

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            threading.Event().wait()
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
