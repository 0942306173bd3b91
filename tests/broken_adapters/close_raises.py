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
"""close closes what was never open."""
# fails: close
# words: close() raised AttributeError in line

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, "a brain")

    def close(self):
        self.session.close()


def load() -> nb.Adapter:
    return Model()
