"""Options for vLLM's engine: names and values are checked by vLLM's own argument class, so that this file knows none of them.

``-o tensor_parallel_size=2``, ``-o max_model_len=32k``, ``-o limit_mm_per_prompt='{"image": 4}'``: each text is converted as vLLM's own
command line converts it (JSON for mappings, commas or JSON for lists), and a name that does not exist is answered by the closest one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from nova_bench.errors import UnknownNameError, UsageError

ONE_LINE = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""JSON on one line, with or without a blank after commas and colons, as llguidance wants it said (``x-guidance`` of a schema). JSON allows
any white space anywhere, and a weak model goes on with it until its tokens are used up: nothing of such an answer parses."""

_UNCOVERED = re.compile(
    r"tokenizer(_revision)?|hf_config_path|model_weights|code_revision|speculative_config|spec_.*|enable_lora|default_mm_loras|lora_.*"
    r"|worker(_extension)?_cls|scheduler_cls|logits_processors|middleware|config|(io|tool|reasoning)_(processor|parser)_plugin"
    r"|model_class_overrides|(kv|ec)_transfer_config|weight_transfer_config"
)
"""Options by which vLLM loads further weights or Python code: a run's identity knows the one checkpoint, and `find_model` alone agrees to code."""

_SAMPLING = frozenset({"generation_config", "override_generation_config", "logprobs_mode"})
"""Options that change what a request's parameters mean, and some of them only behind vLLM's server."""


def refuse_uncovered(name: str, text: str) -> None:
    """Refuse an option that loads what no run's identity would show, that changes sampling, or that is a secret.

    Raises:
        UsageError: It is one.
    """
    if name in _SAMPLING:
        raise UsageError(
            f"option {name}={text!r} would change what temperature, seed and probabilities mean, so that two runs with the same parameters "
            "could not be compared; set parameters with -p (temperature, max_tokens, seed, stop)"
        )
    if name == "hf_token":
        raise UsageError(
            "option hf_token: a token on the command line would be recorded; log in with `hf auth login`"
        )
    if _UNCOVERED.fullmatch(name) or (name == "structured_outputs_config" and "plugin" in text):
        raise UsageError(
            f"option {name}={text!r} makes vLLM load weights or code beside the checkpoint, which would not show in the run's identity; put "
            "what belongs to the model into one folder (merge adapters of weights into it), or start the server yourself and name it "
            "with --model openai:NAME -o base_url=http://localhost:PORT/v1"
        )


def engine_arguments(given: Mapping[str, str], *, known: Collection[str] = ()) -> dict[str, Any]:
    """Return what vLLM's ``AsyncEngineArgs`` takes, converted from texts.

    Args:
        given: Field names (dashes are as good as underscores) to texts.
        known: Names of options that are not the engine's, for the closest match.

    Raises:
        UnknownNameError: The argument class has no such field.
        UsageError: A text does not convert, or the field cannot be given as a text, or loads further weights or code.
    """
    if not given:
        return {}
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    fields = {field.name for field in dataclasses.fields(AsyncEngineArgs) if not field.name.startswith("_")}
    parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
    actions = {action.dest: action for action in parser._actions}
    converted: dict[str, Any] = {}
    for spelled, text in given.items():
        name = spelled.replace("-", "_")
        refuse_uncovered(name, text)
        if name in ("model", "revision", "trust_remote_code"):
            raise UsageError(f"option {spelled}={text!r}: that is an option of the adapter itself")
        if name not in fields:
            raise UnknownNameError("option", spelled, [*known, *sorted(fields)], "vLLM's engine arguments")
        if name not in actions:
            raise UsageError(f"option {name}={text!r}: vLLM takes it from Python code only, not as a text")
        converted[name] = convert(name, text, actions[name])
    return converted


def convert(name: str, text: str, action: argparse.Action) -> Any:
    """Return an option's text as the command line's own rule would.

    Raises:
        UsageError: It does not convert.

    >>> parser = argparse.ArgumentParser()
    >>> convert("n", "4", parser.add_argument("--n", type=int))
    4
    >>> convert("f", "false", parser.add_argument("--f", action=argparse.BooleanOptionalAction))
    False
    >>> convert("l", "a,b", parser.add_argument("--l", nargs="+"))
    ['a', 'b']
    """
    try:
        if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        kind = action.type if callable(action.type) else str
        if action.nargs in ("+", "*"):
            items = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
            return [kind(str(item).strip()) for item in items]
        value = kind(text)
    except KeyError:
        raise UsageError(f"option {name}={text!r}: expected true or false") from None
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise UsageError(f"option {name}={text!r}: vLLM does not take this value: {error}") from None
    choices = list(action.choices or ())
    if choices and value not in choices:
        shown = ", ".join(str(choice) for choice in choices if choice is not None)
        raise UsageError(f"option {name}={text!r}: expected one of {shown}")
    return value
