"""There is no header."""
# fails: header
# words: no header: expected comment lines

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
