"""Ways to reach a model: each is a class whose ``generate`` keeps the adapter contract (`nova_bench.adapter`).

Names resolve on first use, so that asking for one backend imports neither the others nor any vendor's package.

>>> import nova_bench.backends
>>> nova_bench.backends.OpenAIChat.__module__
'nova_bench.backends.openai_chat'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nova_bench.errors import UnknownNameError

if TYPE_CHECKING:
    from nova_bench.backends.anthropic_messages import AnthropicMessages
    from nova_bench.backends.gemini import Gemini
    from nova_bench.backends.hf_chat import HFChat
    from nova_bench.backends.local_model import find_model
    from nova_bench.backends.openai_chat import OpenAIChat
    from nova_bench.backends.openai_responses import OpenAIResponses
    from nova_bench.backends.replay import Replay
    from nova_bench.backends.vllm_engine import VllmEngine

__all__ = [
    "AnthropicMessages",
    "Gemini",
    "HFChat",
    "OpenAIChat",
    "OpenAIResponses",
    "Replay",
    "VllmEngine",
    "find_model",
]

_HOMES = {
    "AnthropicMessages": "nova_bench.backends.anthropic_messages",
    "Gemini": "nova_bench.backends.gemini",
    "HFChat": "nova_bench.backends.hf_chat",
    "OpenAIChat": "nova_bench.backends.openai_chat",
    "OpenAIResponses": "nova_bench.backends.openai_responses",
    "Replay": "nova_bench.backends.replay",
    "VllmEngine": "nova_bench.backends.vllm_engine",
    "find_model": "nova_bench.backends.local_model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        if (
            name.startswith("_") or name.islower()
        ):  # a submodule, or what the import system and inspect ask every module for
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        raise AttributeError(str(UnknownNameError("backend", name, __all__, __name__)))
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
