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
"""It waits for more when there are no more requests."""
# fails: answers, ...
# words: answered all 3 requests, but generate did not end
# timeout: 3

import threading

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, "a brain")
        threading.Event().wait()


def load() -> nb.Adapter:
    return Model()
