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
"""close waits for its server to be idle."""
# fails: close
# words: close() did not end within 5 s

import threading

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, "a brain")

    def close(self):
        threading.Event().wait(60)


def load() -> nb.Adapter:
    return Model()
