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
"""A server of its own is started and forgotten."""
# fails: exit
# words: a process that the adapter started is still running

import subprocess
import sys

import nova_bench as nb


class Model:
    def generate(self, requests):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        for request in requests:
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
