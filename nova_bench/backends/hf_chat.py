"""Any checkpoint with a chat template through `transformers`, in batches.

    requests --(flow: a thread pulls)--> [wait, by length] --(a thread runs the model, batch by batch)--> responses

A batch's answers leave when the batch ends. While the model works on one, the pictures of the next are made ready in another thread.

What an answer depends on: its request and the checkpoint. Rows of a batch have their own temperature, seed, schema, stop texts and limit
(`nova_bench.backends.hf_decoding`). What a row's neighbours do change is rounding, because padding and the batch's size choose other
kernels. In float32 that moved the logits of four families by 6e-7 at most with ``sdpa``, and not at all with ``-o
attn_implementation=eager``, so a greedy answer changes only where two tokens are as good as equal. In bfloat16 it is some 1e-2, and
answers do differ in places. ``-o batch_size=1`` takes even that away.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

from nova_bench.backends.batch_thread import BatchThread, Prepared
from nova_bench.backends.batches import WINDOW, Waiting
from nova_bench.backends.flow import Stream, answer
from nova_bench.backends.hf_checkpoint import Checkpoint, RejectedError, load_checkpoint, quiet
from nova_bench.backends.hf_decoding import Choice, Grammars, Rows, TokenTexts
from nova_bench.backends.local_model import LocalModel
from nova_bench.backends.seen_size import read_processor_config, seen_size
from nova_bench.backends.sent_images import fitted_size
from nova_bench.errors import AdapterError, NovaBenchError, UsageError
from nova_bench.types import Request, Response, Usage

MOST_TOKENS = 4096
"""Tokens of an answer where the request names no limit."""

_STOP_SECONDS = 1.0
_PATCH = 28 * 28
"""Pixels a token, about: for telling long prompts from short ones, nothing else."""


class HFChat:
    """A checkpoint with a chat template: image-text-to-text, or a language model for requests without pictures.

    Args:
        found: The checkpoint, as `nova_bench.backends.local_model.find_model` gives it.
        dtype: ``auto`` (as stored), ``float32``, ``bfloat16`` or ``float16``.
        device_map: ``auto`` (the GPU; several, through accelerate; else the processor), ``cpu``, ``cuda``, ``cuda:1``, ``balanced``, ...
        attn_implementation: As transformers names it; its own choice by default.
        batch_size: Requests a batch, at most. One that does not fit into memory is halved, and grows again later.
        max_pixels: Larger pictures are scaled down to so many pixels; 0 for never.
        json_schema: Whether answers are held to the request's schema, which needs xgrammar; if not, the schema counts as dropped.

    A temperature of None is 0, which is greedy. Without a seed, sampling repeats as well. The model is loaded when the first request is asked for.

    Raises:
        AdapterError: A package is not installed.
        UsageError: A value does not fit.
    """

    def __init__(
        self,
        found: LocalModel,
        *,
        dtype: str = "auto",
        device_map: str = "auto",
        attn_implementation: str = "",
        batch_size: int = 8,
        max_pixels: int = 0,
        json_schema: bool = True,
    ) -> None:
        for package in ("torch", "transformers"):
            if importlib.util.find_spec(package) is None:
                raise AdapterError(
                    f'package {package!r} is not installed; install it with: pip install "nova-bench[transformers]"'
                )
        if batch_size < 1 or max_pixels < 0:
            raise UsageError(
                f"batch_size={batch_size}, max_pixels={max_pixels}: expected 1 or more, and 0 or more"
            )
        self.found = found
        self.batch_size = batch_size
        self._load_options = {
            "dtype": dtype,
            "device_map": device_map,
            "attn_implementation": attn_implementation,
        }
        self._max_pixels = max_pixels
        self._processor_config = read_processor_config(found.path)
        self._json_schema = json_schema
        self._checkpoint: Checkpoint | None = None
        self._grammars: Grammars | None = None
        self._token_texts: TokenTexts | None = None
        self.model_lock = threading.Lock()
        """Held by the thread that uses the model: one that was left behind by `close` ends first."""
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    def identity(self) -> dict[str, Any]:
        """Return what decides whether a run may be continued: the checkpoint's commit or digest."""
        return self.found.identity()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as they come; see `nova_bench.adapter` for the contract."""
        # The window, the batch that is worked on, and the one that is made ready meanwhile.
        stream = answer(requests, self._connect, concurrency=self.batch_size * (WINDOW + 2))
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End the batch that is worked on at its next token, and free the model; from any thread."""
        for stream in list(self._streams):
            stream.close()
        if self.model_lock.acquire(timeout=_STOP_SECONDS):
            try:
                self._checkpoint = self._grammars = self._token_texts = None
            finally:
                self.model_lock.release()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Callable[[Request], Awaitable[Response]]]:
        loop = asyncio.get_running_loop()
        run = BatchThread(self, loop)
        thread = threading.Thread(target=run.work, name="nova-bench-transformers", daemon=True)
        thread.start()
        try:
            checkpoint = await run.loaded

            async def send(request: Request) -> Response:
                answered: asyncio.Future[Response] = loop.create_future()
                try:
                    waiting = self._waiting(
                        checkpoint, request, lambda outcome: run.settle(answered, outcome)
                    )
                except RejectedError as error:
                    return Response(request.id, finish="rejected", error=str(error), model=self._name)
                run.batches.add(waiting)
                return await answered

            yield send
        finally:
            run.stop()
            ended = loop.time() + _STOP_SECONDS
            while thread.is_alive() and loop.time() < ended:
                await asyncio.sleep(0.01)

    def load(self) -> Checkpoint:
        """Return the checkpoint, loaded at the first call.

        Raises:
            AdapterError: It does not load.
        """
        if self._checkpoint is None:
            with quiet():
                made = load_checkpoint(self.found, **self._load_options)
            self._token_texts = TokenTexts(made.decoder, made.vocabulary)
            self._checkpoint = made
        return self._checkpoint

    @property
    def _name(self) -> str:
        return self.found.shown + (f"@{self.found.commit}" if self.found.commit else "")

    def _waiting(self, checkpoint: Checkpoint, request: Request, finish: Callable[[Any], None]) -> Waiting:
        if request.images and not checkpoint.takes_images:
            raise RejectedError(f"{self.found.name} is a language model: it takes no pictures")
        prompt = checkpoint.prompt(request.parts, request.system)
        pixels = 0
        for image in request.images:
            width, height = image.size
            pixels += min(width * height, self._max_pixels or width * height)
        return Waiting(request, prompt, len(prompt) // 4 + pixels // _PATCH, finish)

    def grammars(self) -> Grammars | None:
        """Return what holds answers to schemas; None where the user switched that off.

        Raises:
            AdapterError: xgrammar is not installed.
        """
        if not self._json_schema:
            return None
        if self._grammars is None:
            if importlib.util.find_spec("xgrammar") is None:
                raise AdapterError(
                    "package 'xgrammar' is not installed, so answers cannot be held to the task's JSON schema; install it with: "
                    'pip install "nova-bench[transformers]", or ask without the schema: -o json_schema=false'
                )
            checkpoint = self.load()
            self._grammars = Grammars(checkpoint.tokenizer, checkpoint.vocabulary, checkpoint.ends)
        return self._grammars

    def prepares_ahead(self) -> bool:
        """Whether the next batch is made ready while the model works: on a processor both would want all cores."""
        return bool(self.load().model.device.type != "cpu")

    def prepare(self, batch: list[Waiting]) -> Prepared:
        """Make a batch ready for the model: pictures, tokens, and what does not fit into the context sorted out."""
        checkpoint, prepared = self.load(), Prepared()
        pictures = []
        for waiting in batch:
            try:
                pictures.append([self._picture(image) for image in waiting.request.images])
            except NovaBenchError as error:
                prepared.settled.append(
                    (waiting, Response(waiting.request.id, finish="error", error=str(error)))
                )
            else:
                prepared.batch.append(waiting)
        while prepared.batch:
            prepared.inputs = checkpoint.inputs([waiting.prompt for waiting in prepared.batch], pictures)
            prepared.n_inputs = prepared.inputs["attention_mask"].sum(1).tolist()
            context = checkpoint.context
            if context is None or max(prepared.n_inputs) < context:
                break
            fits = [n < context for n in prepared.n_inputs]
            for waiting, n, is_kept in zip(prepared.batch, prepared.n_inputs, fits, strict=True):
                if not is_kept:
                    reason = f"the prompt has {n} tokens, and the model's context holds {context}"
                    prepared.settled.append((waiting, self._rejected(waiting, n, reason)))
            pictures = [these for these, is_kept in zip(pictures, fits, strict=True) if is_kept]
            prepared.batch = [
                waiting for waiting, is_kept in zip(prepared.batch, fits, strict=True) if is_kept
            ]
        return prepared

    def answers(
        self, prepared: Prepared, is_closed: Callable[[], bool]
    ) -> Iterator[tuple[Waiting, Response]]:
        """Yield the responses of a batch that was made ready."""
        import torch
        import transformers

        yield from prepared.settled
        if not prepared.batch:
            return
        began = time.monotonic()
        checkpoint = self.load()
        assert self._token_texts is not None  # made with the checkpoint
        requests = [waiting.request for waiting in prepared.batch]
        needs_schema = any(request.params.json_schema is not None for request in requests)
        inputs = checkpoint.on_device(prepared.inputs)
        n_prompt = inputs["input_ids"].shape[1]
        limits = [
            min(request.params.max_tokens or MOST_TOKENS, (checkpoint.context or n + MOST_TOKENS) - n)
            for request, n in zip(requests, prepared.n_inputs, strict=True)
        ]
        rows = Rows(
            requests,
            prepared.n_inputs,
            n_prompt,
            limits,
            tokenizer=checkpoint.decoder,
            token_texts=self._token_texts,
            ends=checkpoint.ends,
            grammars=self.grammars() if needs_schema else None,
            is_closed=is_closed,
        )
        config = transformers.GenerationConfig(
            max_new_tokens=max(limits),
            do_sample=False,
            eos_token_id=list(checkpoint.ends),
            pad_token_id=checkpoint.tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            made = checkpoint.model.generate(
                **inputs,
                generation_config=config,
                logits_processor=transformers.LogitsProcessorList([Choice(rows)]),
                stopping_criteria=transformers.StoppingCriteriaList([rows.ended]),
            )
        tokens = made[:, n_prompt:].tolist()
        seconds = time.monotonic() - began
        for i, waiting in enumerate(prepared.batch):
            schema_dropped = waiting.request.params.json_schema is not None and not self._json_schema
            yield (
                waiting,
                rows.response(
                    i,
                    tokens[i],
                    dropped=("json_schema",) if schema_dropped else (),
                    model=self._name,
                    image_sizes=self._sent_sizes(waiting.request),
                    seconds=seconds,
                ),
            )

    def _rejected(self, waiting: Waiting, n_input: int, error: str) -> Response:
        return Response(
            waiting.request.id, finish="rejected", error=error, model=self._name, usage=Usage(n_input, 0)
        )

    def _picture(self, image: Any) -> Any:
        import PIL.Image

        picture = image.pil().convert("RGB")
        if self._max_pixels and picture.width * picture.height > self._max_pixels:
            size = fitted_size(picture.size, self._max_pixels)
            picture = picture.resize(size, PIL.Image.Resampling.LANCZOS)
        return picture

    def _sent_sizes(self, request: Request) -> tuple[tuple[int, int], ...]:
        """Return the sizes of a request's pictures as the model sees them, empty where none was changed."""
        stored = tuple(image.size for image in request.images)
        sent = (fitted_size(size, self._max_pixels) if self._max_pixels else size for size in stored)
        seen = tuple(seen_size(self._processor_config, size) or size for size in sent)
        return () if seen == stored else seen
