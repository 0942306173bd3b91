"""vLLM's asynchronous engine on an event loop of its own, with its processes under our control.

What vLLM does by itself and we do not want, from its source (0.32):

- Its processes end on SIGINT, and Ctrl-C in a terminal goes to every process: answers in flight would be lost. They are started with
  SIGINT blocked, which they inherit, so that the first Ctrl-C lets what is in flight arrive.
- They do not notice the death of whoever started them; `nova_bench.backends.child_guard` does.
- Its processes take 7.5 s to end in order (they give the model up at once, then two interpreters tear themselves down), and its shutdown
  waits 5 s for them, then kills, and writes about it to standard output; ours waits 2 s and writes nothing.
- It forks by default, and this process has threads; a fresh interpreter (``spawn``) is safe.
- It reports its use to a server outside; a tool for medical data does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from nova_bench.backends.child_guard import ChildGuard
from nova_bench.backends.engine_log import EngineLog
from nova_bench.errors import AdapterError

T = TypeVar("T")

_ENVIRONMENT = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_LOOK_SECONDS = 0.2
_SHUTDOWN_SECONDS = 2.0
_END_SECONDS = 1.0


class VllmProcess:
    """An engine that runs, until `close`.

    Args:
        arguments: Makes the fields of ``AsyncEngineArgs``; called while the streams are captured, because it imports vLLM.
        check: Called with the engine once it runs, on its loop.

    Raises:
        AdapterError: It does not start.
    """

    def __init__(
        self, arguments: Callable[[], Mapping[str, Any]], check: Callable[[Any], None] = lambda engine: None
    ) -> None:
        os.environ.update(_ENVIRONMENT)
        self.engine: Any = None
        """vLLM's ``AsyncLLM``."""
        self.log = EngineLog()
        self._check = check
        self._is_closed = self._is_shut_down = False
        self._lock = threading.Lock()
        self.loop = asyncio.new_event_loop()
        """Where the engine lives, in a thread of its own."""
        self._ended = threading.Event()
        with self.log.captured():
            # Before SIGINT is blocked: the tracker unblocks it in the thread that starts it. Before the strangers are counted: it is
            # this process's own. Its words belong to the log: it complains about shared memory of processes that we had to kill.
            resource_tracker.ensure_running()
        self._strangers = self._children()
        self._known: dict[int, Any] = {}
        """Processes of the engine seen so far: a worker whose engine was killed is no descendant of ours any more."""
        self._guard = ChildGuard()
        ready: Future[None] = Future()
        try:
            with self.log.captured():
                fields = arguments()
                self._thread = threading.Thread(
                    target=self._run, args=(fields, ready), name="nova-bench-vllm", daemon=True
                )
                self._thread.start()
                while not ready.done():  # the loop takes Ctrl-C, and sees the children as they come
                    with contextlib.suppress(TimeoutError):
                        ready.exception(_LOOK_SECONDS)
                    self._guard_children()
            error = ready.exception()
        except BaseException:
            self.close()
            raise
        if error is not None:
            tail = self.log.tail()
            self.close()
            if isinstance(error, AdapterError):
                raise error
            raise AdapterError(
                f"vLLM does not start ({type(error).__name__}: {error}). The end of its log:\n{tail}"
            ) from error

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the engine's loop.

        Raises:
            AdapterError: The engine was closed.
        """
        if self._is_closed:
            coroutine.close()
            raise AdapterError("vLLM's engine was closed")
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def death(self) -> AdapterError:
        """Return what to say once the engine has died by itself."""
        return AdapterError(
            "vLLM's engine died; what was answered is in the log, and the same command goes on from there. Where it ran out of memory: "
            "-o gpu_memory_utilization=0.8, -o max_num_seqs=N or -o max_model_len=N with smaller numbers. The end of its log:\n"
            + self.log.tail()
        )

    def close(self) -> None:
        """End the engine and its processes within 5 seconds; from any thread, more than once."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self.engine is not None:
                with contextlib.suppress(Exception):
                    # On the loop where it lives: its sockets are of that loop.
                    self._call(self._shut_down).result(_SHUTDOWN_SECONDS + _END_SECONDS)
            self._loop_stop()
            self._kill_children()
            self._guard.release()
            self.log.close()

    # The engine's thread.

    def _run(self, fields: Mapping[str, Any], ready: Future[None]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._start(fields))
        except BaseException as error:
            ready.set_exception(error)
        else:
            ready.set_result(None)
            if not self._is_closed:
                self.loop.run_forever()
        finally:
            with contextlib.suppress(Exception):
                tasks = asyncio.all_tasks(self.loop)
                for task in tasks:
                    task.cancel()
                if tasks:
                    self.loop.run_until_complete(asyncio.wait(tasks, timeout=_END_SECONDS / 2))
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
                if self._is_closed and not self._is_shut_down and self.engine is not None:
                    self._shut_down()  # closed while it was starting, so that nobody else ends it
            self.loop.close()
            self._ended.set()

    async def _start(self, fields: Mapping[str, Any]) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        # LLM_CLASS: the defaults of offline use, which are for throughput.
        self.engine = AsyncLLM.from_engine_args(
            AsyncEngineArgs(**fields), usage_context=UsageContext.LLM_CLASS
        )
        logger = logging.getLogger("vllm")
        stream = os.fdopen(os.dup(self.log.fd), "a", buffering=1, encoding="utf-8", errors="replace")
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(stream)
        self._check(self.engine)

    def _shut_down(self) -> None:
        self._is_shut_down = True
        self.engine.shutdown(timeout=_SHUTDOWN_SECONDS)

    def _call(self, function: Callable[[], None]) -> Future[None]:
        async def call() -> None:
            function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop)

    def _loop_stop(self) -> None:
        if self.engine is None:
            return  # it is still starting, or has failed to: its children's end ends it
        with contextlib.suppress(RuntimeError):  # closed already
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._ended.wait(_END_SECONDS)

    # Its processes.

    def _children(self) -> dict[int, Any]:
        import psutil  # comes with vLLM

        return {process.pid: process for process in psutil.Process().children(recursive=True)}

    def _own_children(self) -> list[Any]:
        for pid, process in self._children().items():
            if pid not in self._strangers and pid != self._guard.pid:
                self._known.setdefault(pid, process)
        return list(self._known.values())

    def _guard_children(self) -> None:
        for process in self._own_children():
            self._guard.watch(process.pid)

    def _kill_children(self) -> None:
        import psutil

        left = self._own_children()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        deadline = time.monotonic() + _END_SECONDS / 2
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.wait(max(0.0, deadline - time.monotonic()))
