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
"""After one picture that cannot be read, all others fail."""
# fails: unreadable image, boxes
# words: requests beside an unreadable picture failed with it

import nova_bench as nb


class Model:
    def __init__(self):
        self.fault = ""

    def generate(self, requests):
        for request in requests:
            try:
                shapes = [image.array().shape for image in request.images]
            except nb.NovaBenchError as error:
                self.fault = str(error)
            if self.fault:
                yield nb.Response(request.id, finish="error", error=self.fault)
            else:
                yield nb.Response(request.id, f"{shapes}")


def load() -> nb.Adapter:
    return Model()
