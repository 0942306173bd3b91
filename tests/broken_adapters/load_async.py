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
"""load is a coroutine."""
# fails: load
# words: load is an async function

import nova_bench as nb


async def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
