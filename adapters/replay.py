# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Replay of answers from a file"
# license = "apache-2.0"
# weights = "varies"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""Answers from a JSONL file: -o path=answers.jsonl, lines {"id": sample id, "text": answer, "repeat"?: n}; -o boxes= declares their frame."""

import nova_bench as nb
from nova_bench.errors import UsageError


def load(*, path: str = "") -> nb.Adapter:
    """Return an adapter that answers from `path`; ``{task}`` in it is the task's name."""
    if not path:
        raise UsageError(
            'adapter replay needs -o path=FILE, with lines such as {"id": "case0001_001.png", "text": "..."}'
        )
    return nb.backends.Replay(path)
