"""A checkpoint in memory: its model, processor and chat template, whatever the family calls them.

What a checkpoint's ``generation_config`` says about sampling (a temperature, a penalty for repetition) is not used, because two runs with
one temperature have to mean the same; only the tokens that begin and end an answer are taken from it.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_bench.backends.local_model import LocalModel
from nova_bench.errors import AdapterError, UsageError

DTYPES = ("auto", "float32", "bfloat16", "float16")

_KEPT = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id")
"""What of a ``generation_config`` is a matter of the format, not of sampling."""


class RejectedError(Exception):
    """The checkpoint cannot take a request."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and advice of transformers off the screen; errors are exceptions anyway."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    has_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


@dataclass(slots=True, eq=False)
class Checkpoint:
    """A loaded model with all that turns messages into its input."""

    model: Any
    processor: Any
    """The processor; for a text-only checkpoint, the tokenizer."""
    tokenizer: Any
    decoder: Any
    """A copy of the tokenizer, for the thread that decodes: one that is encoding in another thread may refuse ("Already borrowed")."""
    takes_images: bool
    ends: tuple[int, ...]
    """The tokens that end an answer."""
    context: int | None
    """Tokens of prompt and answer together, at most; None where the configuration does not say."""
    vocabulary: int
    """How many logits there are a position."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while a batch is encoded."""

    def prompt(self, parts: Sequence[Any], system: str | None) -> str:
        """Return a request's prompt as the chat template writes it.

        Args:
            parts: Texts, and anything else for pictures.
            system: The system prompt. A template that knows none gets it before the first text.

        Raises:
            AdapterError: The template leaves out a part of the prompt.
        """
        if system is not None:
            with contextlib.suppress(_template_error()):
                written = self._written(parts, system)
                if system.strip() in written:
                    return written
            parts = (f"{system}\n\n", *parts)
        return self._written(parts, None)

    def _written(self, parts: Sequence[Any], system: str | None) -> str:
        texts = [part for part in parts if isinstance(part, str)]
        messages: list[dict[str, Any]] = []
        if system is not None:
            messages.append({"role": "system", "content": self._content([system])})
        messages.append({"role": "user", "content": self._content(parts)})
        written = str(
            self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
        for text in texts:
            if text.strip() not in written:
                raise AdapterError(
                    f"the checkpoint's chat template left out a part of the prompt ({text.strip()[:60]!r}), so its answers would be to another "
                    "question; this checkpoint cannot be used with its own template"
                )
        return written

    def _content(self, parts: Sequence[Any]) -> Any:
        if not self.takes_images:  # templates of text models join strings
            return "\n\n".join(part for part in parts if isinstance(part, str))
        return [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts
        ]

    def inputs(self, prompts: list[str], pictures: list[list[Any]]) -> dict[str, Any]:
        """Return what a batch is for the model, padded on the left, on the processor's device."""
        # As apply_chat_template does: a template that writes the beginning-of-text token must not get a second one.
        bos = self.tokenizer.bos_token
        arguments: dict[str, Any] = {"padding": True, "return_tensors": "pt"}
        if not self.takes_images or (bos is not None and prompts[0].startswith(bos)):
            arguments["add_special_tokens"] = False
        with self.lock:
            if self.takes_images:
                made = self.processor(text=prompts, images=pictures if pictures[0] else None, **arguments)
            else:
                made = self.tokenizer(prompts, **arguments)
        inputs = dict(made)
        if (
            "token_type_ids" in inputs
            and "token_type_ids" not in inspect.signature(self.model.forward).parameters
        ):
            del inputs[
                "token_type_ids"
            ]  # generic tokenizers make them, and generate refuses what it does not know
        return inputs

    def on_device(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return a batch on the model's device, pictures in its precision."""
        import torch

        device, dtype = self.model.device, self.model.dtype
        return {
            key: value.to(device, dtype if value.is_floating_point() else None)
            if isinstance(value, torch.Tensor)
            else value
            for key, value in inputs.items()
        }


def load_checkpoint(
    found: LocalModel, *, dtype: str, device_map: str, attn_implementation: str
) -> Checkpoint:
    """Load a checkpoint; see `nova_bench.backends.hf_chat.HFChat` for the options.

    Raises:
        AdapterError: It does not load here, or has no chat template.
        UsageError: A value does not fit.
    """
    import torch
    import transformers

    if dtype not in DTYPES:
        raise UsageError(f"dtype={dtype!r}: expected {', '.join(DTYPES)}")
    trust = {"trust_remote_code": found.trust_remote_code, "local_files_only": True}
    arguments: dict[str, Any] = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype), **trust}
    if attn_implementation:
        arguments["attn_implementation"] = attn_implementation
    device = _device(device_map)
    if device is None:
        arguments["device_map"] = device_map
    try:
        config = transformers.AutoConfig.from_pretrained(found.path, **trust)
        kind = getattr(transformers, _kind(config))
        processor = transformers.AutoProcessor.from_pretrained(found.path, **trust)
        tokenizer = getattr(processor, "tokenizer", processor)
        _check_template(found, processor, tokenizer)
        model = kind.from_pretrained(found.path, **arguments)
        if device is not None:
            model = model.to(device)
    except (AdapterError, UsageError):
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}".strip()
        if is_out_of_memory(error):
            message += (
                "; use -o dtype=bfloat16, a smaller checkpoint, or -o device_map=balanced over several GPUs"
            )
        raise AdapterError(
            f"{found.name} does not load with transformers {transformers.__version__}: {message}"
        ) from error
    model.eval()
    tokenizer.padding_side = "left"
    ends = _ends(model, tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(ends[0])
    old = model.generation_config
    kept = {name: getattr(old, name, None) for name in _KEPT}
    kept |= {"eos_token_id": list(ends), "pad_token_id": tokenizer.pad_token_id}
    model.generation_config = transformers.GenerationConfig(**kept)
    text = config.get_text_config(decoder=True)
    return Checkpoint(
        model=model,
        processor=processor,
        tokenizer=tokenizer,
        decoder=copy.deepcopy(tokenizer),
        # Checkpoints with code of their own often call a model that sees pictures a causal language model.
        takes_images=getattr(processor, "image_processor", None) is not None,
        ends=ends,
        context=getattr(text, "max_position_embeddings", None),
        vocabulary=_vocabulary(model, text),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception says that memory ran out, on a GPU or here.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shape mismatch"))
    (True, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(sign in said for sign in signs)


def is_lost(error: BaseException) -> bool:
    """Tell whether an exception leaves the GPU unusable for this process."""
    return "cuda error" in str(error).lower() or type(error).__name__ == "AcceleratorError"


def free_memory() -> None:
    """Give back what a batch that failed still holds."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device(device_map: str) -> str | None:
    """Return the one device that is meant; None where a map spreads a model over several."""
    import torch

    if device_map == "auto":
        if torch.cuda.is_available():
            return "cuda" if torch.cuda.device_count() == 1 else None
        return "mps" if torch.backends.mps.is_available() else "cpu"
    name = device_map.partition(":")[0]
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"device_map={device_map}: torch {torch.__version__} sees no CUDA device here; use -o device_map=cpu"
        )
    if name in ("cpu", "cuda", "mps", "xpu"):
        return device_map
    if device_map not in ("balanced", "balanced_low_0", "sequential"):
        raise UsageError(
            f"device_map={device_map!r}: expected auto, cpu, cuda, cuda:N, mps, balanced, balanced_low_0 or sequential"
        )
    return None


def _kind(config: Any) -> str:
    """Return the class of transformers that loads a checkpoint."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    )

    if getattr(config, "is_encoder_decoder", False):
        raise AdapterError(
            f"model type {config.model_type!r} has an encoder and a decoder; this adapter answers with models that go on writing their prompt"
        )
    own = getattr(config, "auto_map", None) or {}  # of a checkpoint that comes with its own code
    kinds = {
        "AutoModelForImageTextToText": MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        "AutoModelForCausalLM": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    }
    for kind, known in kinds.items():
        if config.model_type in known:
            return kind
    for kind in kinds:
        if kind in own:
            return kind
    raise AdapterError(
        f"model type {config.model_type!r} is neither an image-text-to-text model nor a language model of this transformers; update "
        "transformers, or use -o trust_remote_code=true if the checkpoint comes with code of its own"
    )


def _check_template(found: LocalModel, processor: Any, tokenizer: Any) -> None:
    if getattr(processor, "chat_template", None) is None:
        if getattr(tokenizer, "chat_template", None) is None:
            raise AdapterError(
                f"{found.name} has no chat template (chat_template.jinja), so nobody can tell how it wants to be asked; use the instruct or "
                "chat version of this checkpoint"
            )
        processor.chat_template = tokenizer.chat_template


def _ends(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer: those of the generation_config, and the tokenizer's own."""
    named = model.generation_config.eos_token_id
    if named is None:
        named = getattr(model.config.get_text_config(decoder=True), "eos_token_id", None)
    ends = [] if named is None else [named] if isinstance(named, int) else list(named)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    if not ends:
        raise AdapterError("the checkpoint names no token that ends an answer (eos_token_id)")
    return tuple(ends)


def _vocabulary(model: Any, text: Any) -> int:
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    return int(text.vocab_size if weight is None else weight.shape[0])


def _template_error() -> type[Exception]:
    import jinja2

    return jinja2.exceptions.TemplateError
