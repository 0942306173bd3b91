"""Whether two names mean one model: as vendors, hubs and servers spell them, with dates, revisions, quantisations and folders.

`gpt-4o-2024-08-06` is `gpt-4o`, and `Qwen/Qwen2.5-VL-7B-Instruct-AWQ` is `qwen2.5-vl-7b-instruct`; sizes, versions and words such as
``mini`` or ``instruct`` make another model. Two snapshots of one name are taken for one model: a judge favours its sibling as well.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterable

_HUB_CACHE = re.compile(r"(?:^|/)models--(?:[^/]*--)?([^/]+?)(?:/|$)")
_FILE = re.compile(r"\.(?:gguf|safetensors)$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_VENDOR = re.compile(
    r"^(?:(?:us|eu|apac|global)\.)?(?:anthropic|meta|mistral|amazon|cohere|openai|google|qwen|deepseek)\.(?=[a-z])"
)
_SERVED = re.compile(r"(?:-v\d+)?:\d+$|:(?:latest|free)$")
"""What Bedrock (``-v1:0``), Ollama and routers put behind a name."""
_QUANTISED = re.compile(
    r"awq|gptq|bnb|nf4|fp4|mxfp4|nvfp4|fp8|bf16|fp16|f16|fp32|f32|gguf|ggml|exl[23]|mlx|hqq|aqlm|marlin|autoround|int[2348]|[2-8]bit|w\d+a\d+"
    r"|i?q[1-8]|i?q[1-8][a-z]+|quantized|quantised|quant|unsloth|dynamic"
)
_QUANTISED_END = re.compile(r"(?:^|[-_.:])(?:ud[-_.])?i?q[1-8](?:_[0-9a-z]+)*$")
"""As llama.cpp writes it: ``Q4_K_M``, ``IQ4_XS``, ``Q8_0``."""
_MONTH, _DAY, _YEAR = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])", r"20[2-9]\d"
_DATE = re.compile(
    rf"-(?:{_YEAR}-{_MONTH}-{_DAY}|{_YEAR}{_MONTH}{_DAY}|{_MONTH}-{_DAY}|{_MONTH}-{_YEAR}|{_YEAR}-{_MONTH}"
    rf"|(?!1024$){_MONTH}{_DAY}|2[3-9]{_MONTH}|00[1-9])$"
)
"""``2024-08-06``, ``20240806``, ``05-06``, ``09-2025``, ``0613``, ``2507`` and a build as ``001``; 1024 is a size of pictures."""


def model_key(name: str) -> str:
    """Return what all spellings of one model's name have in common.

    Args:
        name: As a user, an adapter or a vendor gave it, without the adapter.

    >>> model_key("gpt-4o-2024-08-06"), model_key(" models/GPT-4o "), model_key("gpt-4o-mini")
    ('gpt-4o', 'gpt-4o', 'gpt-4o-mini')
    >>> model_key("/models/Qwen/./Qwen2.5-VL-7B-Instruct-GPTQ-Int4/.") == model_key("qwen/qwen2.5-vl-7b-instruct@main")
    True
    """
    plain = unicodedata.normalize("NFKC", name).strip().casefold().replace("\\", "/")
    if not plain.startswith(("/", ".", "~")):
        plain = plain.partition("@")[0]
    if (cached := _HUB_CACHE.search(plain)) is not None:
        plain = cached[1]
    plain = posixpath.normpath(plain).rpartition("/")[2].partition("@")[0].strip() if plain else plain
    plain = _SHARD.sub("", _FILE.sub("", plain))
    plain = _VENDOR.sub("", plain)
    shown = plain
    while True:
        before = plain
        plain = _SERVED.sub("", plain)
        plain = _QUANTISED_END.sub("", plain) or plain
        words = re.split(r"[-_.:\s]+", plain)
        while len(words) > 1 and (_QUANTISED.fullmatch(words[-1]) or words[-1] in ("latest", "")):
            words.pop()
        plain = _DATE.sub("", "-".join(words))
        if plain == before:
            break
    return plain or shown


def is_same_model(one: str, other: str) -> bool:
    """Return whether two names mean one model; an empty name means none.

    >>> is_same_model("gemini-2.0-flash", "models/gemini-2.0-flash-001"), is_same_model("gemini-2.0-flash", "gemini-2.0-flash-lite")
    (True, False)
    """
    return is_any_same([one], [other])


def is_any_same(ones: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether a name among some means the model of one among others.

    >>> is_any_same(["gpt-4o-2024-08-06", "x"], ["gpt-4o"]), is_any_same(["", "x"], [""])
    (True, False)
    """
    return bool(_joined_keys(ones) & _joined_keys(others))


def _joined_keys(names: Iterable[str]) -> set[str]:
    """Return keys without separators, but between digits: qwen2.5vl is qwen2.5-vl, and llama-3.1-8b no llama-31-8b."""
    return {re.sub(r"(?<!\d)-|-(?!\d)", "", model_key(name)) for name in names} - {""}
