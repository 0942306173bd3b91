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
"""Each call of generate starts a thread that nobody ends."""
# fails: exit
# words: ('keep-alive') hold it

import threading

import nova_bench as nb


class Model:
    def generate(self, requests):
        threading.Thread(target=threading.Event().wait, name="keep-alive").start()
        for request in requests:
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
