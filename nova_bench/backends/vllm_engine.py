"""vLLM in this process: requests are fed to its engine as slots become free, and leave it one by one as they are finished.

The adapter talks to the engine as vLLM's own server does (``AsyncLLM`` and the checkpoint's renderer), without HTTP in between. One engine
serves all tasks of a command. Images go in as RGB pictures named by their digest, so that vLLM need not hash their pixels to find
what it has seen already.

What is refused, and what becomes of it:

| what | becomes |
|---|---|
| a prompt longer than the context, more images than the model takes, a picture that the model's image processor refuses | ``rejected`` |
| any other error about one request (a schema that the grammar does not take) | ``error``: that sample fails |
| a checkpoint without a chat template, an engine that died | the run ends; what was answered is kept |
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import importlib.util
import itertools
import time
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from nova_bench.backends.flow import Stream, answer
from nova_bench.backends.label_probs import TOP, label_probs
from nova_bench.backends.local_model import LocalModel
from nova_bench.backends.seen_size import changed_config, read_processor_config, seen_size
from nova_bench.backends.sent_images import fitted_size
from nova_bench.backends.vllm_arguments import ONE_LINE, engine_arguments
from nova_bench.backends.vllm_process import VllmProcess
from nova_bench.errors import AdapterError, UsageError
from nova_bench.images import Image
from nova_bench.types import Finish, Request, Response, Usage

OUR_OPTIONS = ("model", "revision", "trust_remote_code", "serve", "dtype", "max_pixels", "concurrency")
"""Options of the adapter that are not passed on to the engine as they are."""

_IMAGE_THREADS = 4
_SLOW_SECONDS = 0.02
_LONGEST_ERROR = 500
_TRIES = 3
"""The renderer sends a picture once and later its name alone. Where the request that held it never reached the engine (a schema that was
refused, a cancelled one), the engine ends the next one with an error, and the renderer then sends the picture again."""
_TOO_MUCH = frozenset({"input_tokens", "input_text", "prompt", "image"})
"""What vLLM's errors name where a prompt is too long, or holds too many images."""
_FINISH: dict[str | None, Finish] = {"stop": "stop", "length": "length", "repetition": "stop"}


class VllmEngine:
    """A checkpoint in vLLM's engine.

    Args:
        model: The checkpoint.
        dtype: ``auto``, ``bfloat16``, ``float16``, ``float32``.
        max_pixels: Pictures with more pixels are scaled down before the model's own processor sees them; 0 for none.
        concurrency: Requests in the engine, at most; 0 for half as many again as it runs at a time, so that some are always ready.
        engine: Any field of vLLM's ``AsyncEngineArgs``, as texts.

    A temperature of None is 0 (greedy): a checkpoint's own generation config changes no answer.

    Raises:
        AdapterError: vLLM is not installed, or does not start with this checkpoint.
        UsageError: A value does not fit.
    """

    def __init__(
        self,
        model: LocalModel,
        *,
        dtype: str = "auto",
        max_pixels: int = 0,
        concurrency: int = 0,
        engine: Mapping[str, str] | None = None,
    ) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise AdapterError('package "vllm" is not installed; install it with: pip install vllm')
        if max_pixels < 0 or concurrency < 0:
            raise UsageError(
                f"max_pixels={max_pixels}, concurrency={concurrency}: expected 0 or a positive number"
            )
        self.model = model
        self._max_pixels = max_pixels
        self._numbers = itertools.count()
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._has_said_death = False
        self._is_slow = False
        self._rendering = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="nova-bench-render")
        self._decoding = concurrent.futures.ThreadPoolExecutor(
            _IMAGE_THREADS, thread_name_prefix="nova-bench-image"
        )

        def arguments() -> Mapping[str, Any]:
            return {
                "disable_log_stats": True,
                "generation_config": "vllm",
                "structured_outputs_config": {"backend": "guidance"},
                **engine_arguments({"dtype": dtype, **(engine or {})}, known=OUR_OPTIONS),
                "model": str(model.path),
                "trust_remote_code": model.trust_remote_code,
            }

        self._process = VllmProcess(arguments, self._check)
        config = self._process.engine.vllm_config
        n_running = int(config.scheduler_config.max_num_seqs)
        self.concurrency = concurrency or n_running + max(4, n_running // 2)
        """Requests in the engine, at most."""
        self._is_guided = config.structured_outputs_config.backend == "guidance"
        self._shown = f"{model.shown}@{model.commit}" if model.commit else model.shown
        changed = getattr(config.model_config.multimodal_config, "mm_processor_kwargs", None) or {}
        self._processor_config = changed_config(read_processor_config(model.path), changed)
        atexit.register(
            self.close
        )  # before multiprocessing's own exit, which waits for the engine without end

    def identity(self) -> Mapping[str, Any]:
        """Return which weights answer."""
        return self.model.identity()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come; see `nova_bench.adapter` for the contract."""
        stream = answer(requests, self._connect, concurrency=self.concurrency, loop=self._process.loop)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Cancel what is in flight and end the engine within 5 seconds; from any thread."""
        atexit.unregister(self.close)
        for stream in list(self._streams):
            stream.close()
        self._process.close()
        for pool in (self._rendering, self._decoding):
            pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, engine: Any) -> None:
        """Refuse a checkpoint without a chat template before anything is asked."""
        from vllm.renderers.params import ChatParams
        from vllm.utils.mistral import is_mistral_tokenizer

        # As vLLM's own LLM.chat does; the defaults of these classes leave out the assistant's turn, and begin the text twice.
        renderer = engine.renderer
        self._chat_params = ChatParams(
            chat_template_kwargs={
                "add_generation_prompt": True,
                "continue_final_message": False,
                "tokenize": is_mistral_tokenizer(renderer.tokenizer),
            }
        )
        renderer.warmup(
            self._chat_params
        )  # joins a warm-up in the background, whose thread ours must not meet
        self._tok_params = renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False)
        try:
            renderer.render_chat([[{"role": "user", "content": "?"}]], self._chat_params, self._tok_params)
        except Exception as error:
            raise AdapterError(
                f"{self.model.name} has no chat template that can be used ({_short(error)}); an instruction-tuned checkpoint brings one in "
                "tokenizer_config.json or chat_template.jinja"
            ) from error

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Callable[[Request], Awaitable[Response]]]:
        yield self._answer

    async def _answer(self, request: Request) -> Response:
        """Answer one request, on the engine's loop."""
        from vllm.v1.engine.exceptions import EngineDeadError

        began = time.monotonic()
        try:
            for _ in range(_TRIES):
                prompt, sizes = await self._rendered(request)
                output: Any = None
                async for made in self._process.engine.generate(
                    prompt, self._params(request), str(next(self._numbers))
                ):
                    output = made  # one, the finished one (FINAL_ONLY)
                if output.outputs[0].finish_reason != "error":
                    break
        except EngineDeadError:
            if self._has_said_death:  # one long message a run is enough
                raise AdapterError("vLLM's engine died") from None
            self._has_said_death = True
            raise self._process.death() from None
        except Exception as error:
            if isinstance(error, _RejectedError) or _is_too_much(error):
                return Response(request.id, finish="rejected", error=_short(error))
            return Response(request.id, finish="error", error=_short(error))
        return self._response(request, output, sizes, time.monotonic() - began)

    async def _rendered(self, request: Request) -> tuple[Any, tuple[tuple[int, int], ...]]:
        """Return what the engine takes, and the size in which the model sees each image (empty: as stored)."""
        loop = asyncio.get_running_loop()
        if (
            request.images and self._is_slow
        ):  # large pictures: side by side, decoding lets go of the interpreter's lock
            pictures = await loop.run_in_executor(self._decoding, self._pictures, request)
            return await loop.run_in_executor(self._rendering, self._render, request, pictures)
        return await loop.run_in_executor(self._rendering, self._render, request, None)

    def _render(
        self, request: Request, pictures: list[Any] | None
    ) -> tuple[Any, tuple[tuple[int, int], ...]]:
        """Decode, write the prompt, tokenize, and run the image processor: one after the other, in one thread.

        vLLM's own asynchronous rendering hands a request to two threads in turn, and each hand-over waits for the interpreter's lock.
        Its caches want requests rendered in the order in which they go to the engine, so there is one thread.
        """
        if pictures is None:
            began = time.monotonic()
            pictures = self._pictures(request)
            self._is_slow = time.monotonic() - began > _SLOW_SECONDS
        left = iter(pictures)
        content = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_pil", "image_pil": next(left), "uuid": part.digest}
            for part in request.parts
        ]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if request.system is not None:
            messages.insert(0, {"role": "system", "content": request.system})
        try:
            _, (prompt,) = self._process.engine.renderer.render_chat(
                [messages], self._chat_params, self._tok_params
            )
        except ValueError as error:
            if request.images and _is_of_image_processor(error):
                raise _RejectedError(_short(error)) from None
            raise
        sizes = tuple(seen_size(self._processor_config, picture.size) or picture.size for picture in pictures)
        return prompt, () if sizes == tuple(image.size for image in request.images) else sizes

    def _pictures(self, request: Request) -> list[Any]:
        return [self._picture(image) for image in request.images]

    def _picture(self, image: Image) -> Any:
        import PIL.Image

        picture = image.pil().convert("RGB")
        size = fitted_size(picture.size, self._max_pixels) if self._max_pixels else picture.size
        return picture if size == picture.size else picture.resize(size, PIL.Image.Resampling.LANCZOS)

    def _params(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        params = request.params
        schema = None if params.json_schema is None else dict(params.json_schema)
        if schema is not None and self._is_guided:
            schema.setdefault("x-guidance", ONE_LINE)
        return SamplingParams(
            temperature=params.temperature or 0.0,
            max_tokens=params.max_tokens,  # None: what the context has room for
            seed=params.seed,
            stop=list(params.stop),
            logprobs=TOP if "label_probs" in request.outputs else None,
            structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,  # made for this request alone; a deep copy takes 0.2 ms of the loop
        )

    def _response(
        self, request: Request, output: Any, sizes: tuple[tuple[int, int], ...], seconds: float
    ) -> Response:
        made = output.outputs[0]
        if made.finish_reason not in _FINISH:
            return Response(request.id, finish="error", error=f"vLLM ended the request: {made.finish_reason}")
        probs = None
        if "label_probs" in request.outputs:
            probs = label_probs(_positions(made), request.labels)
        return Response(
            request.id,
            made.text,
            finish=_FINISH[made.finish_reason],
            arrays={} if probs is None else {"label_probs": probs},
            model=self._shown,
            image_sizes=sizes,
            dropped=("label_probs",) if "label_probs" in request.outputs and probs is None else (),
            usage=Usage(
                input_tokens=len(output.prompt_token_ids or ()) or None,
                output_tokens=len(made.token_ids),
                cached_tokens=output.num_cached_tokens,
            ),
            seconds=seconds,
        )


class _RejectedError(Exception):
    """The model's image processor refused a picture."""


def _positions(made: Any) -> list[dict[str, Any]]:
    """Return the positions of an answer in the form that `label_probs` reads."""
    positions = []
    for token_id, listed in zip(made.token_ids, made.logprobs or (), strict=False):
        entries = {
            key: {"token": entry.decoded_token or "", "logprob": entry.logprob}
            for key, entry in listed.items()
        }
        chosen = entries.get(token_id)
        if chosen is not None:
            positions.append({**chosen, "top_logprobs": list(entries.values())})
    return positions


def _is_too_much(error: Exception) -> bool:
    """Whether vLLM says that the prompt is longer than the context, or holds more images than the model takes."""
    from vllm.exceptions import VLLMValidationError

    return isinstance(error, VLLMValidationError) and error.parameter in _TOO_MUCH


def _is_of_image_processor(error: BaseException) -> bool:
    """Whether the checkpoint's image processor refused a value: a picture of a shape that it does not take."""
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        if isinstance(cause, ValueError) and frames and "image_process" in frames[-1].filename:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _short(error: BaseException) -> str:
    """Return an error's text; of what it was raised from, where vLLM only says that something failed."""
    said = error
    while said.__cause__ is not None:
        said = said.__cause__
    text = str(said) or type(said).__name__
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]} ..."
