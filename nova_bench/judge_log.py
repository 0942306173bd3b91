"""A judge's verdicts on a run's answers, on disk: ``judges/<12 hex>/`` in the run's folder.

``verdicts.jsonl`` is a log like that of the responses. A record counts where its id and the hash of its request are the same; the hash is
of the first try, so that all tries of a verdict share it. A record holds a ``verdict``, or the ``fault`` that made it none, or an
``error`` where no answer came. Of gated data it holds scores, counts and labels only: free text, the raw answer and the reasoning go to
``private.jsonl``, which nobody but the owner can read and which no report, page or bundle takes.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nova_bench.adapter import Model
from nova_bench.budget import Ledger
from nova_bench.discreet import without_quotes
from nova_bench.errors import AdapterError, LimitReachedError, LogError, NovaBenchError, UsageError
from nova_bench.judge import TRIES, Verdict, asking_digest, rubric_id
from nova_bench.judge_names import judge_identity, kind_of, names_apart
from nova_bench.log_index import Entry
from nova_bench.prices import Price
from nova_bench.runlog import MANIFEST, RunLog, join_identity, read_manifest, record_of
from nova_bench.signature import digest, request_hash
from nova_bench.types import Judge, Request, Response

JUDGES = "judges"
VERDICTS = "verdicts.jsonl"
PRIVATE = "private.jsonl"

_QUOTE_IN_ERROR = 24
"""Characters in a row of what was asked, as in `nova_bench.discreet`."""
_LONGEST_ERROR = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A judge that was asked about a run: what its manifest says."""

    folder: Path
    name: str
    """``ADAPTER:MODEL``, or the card's name where there is no model; with what differs, where two of a run share that: `names_apart`."""
    options: Mapping[str, Any]
    params: Mapping[str, Any]
    """Generation parameters over the rubrics' own: ``max_tokens``, ``temperature``."""
    repeats: int
    """Of the last start: how often it was asked about each answer."""
    is_self: bool
    """Whether it is the model under test."""
    started: str
    """When it was last asked."""
    adapter: str
    """As users write it, with its model."""
    source: str
    """sha256 of the adapter's source, hex."""
    think: Sequence[str] | None
    """The tags of its reasoning, which are cut from its answers."""
    price: Price | None = None
    kind: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """All that tells it from a judge of the same name, the adapter's text apart."""

    def state(self) -> list[Any]:
        """Return what a report says of a judge beside its verdicts."""
        return [self.name, self.repeats, self.is_self, None if self.price is None else self.price.json()]

    def tuned(self, judge: Judge) -> Judge:
        """Return what is asked, with this judge's own generation parameters."""
        return dataclasses.replace(judge, **self.params) if self.params else judge

    def signature(self, judge: Judge) -> dict[str, Any]:
        """Return what a number's protocol says of its judge."""
        judge = self.tuned(judge)
        said: dict[str, Any] = {
            "model": self.kind.get("name", self.name),
            "adapter": self.adapter,
            "source": self.source[:12],
            "options": dict(self.options),
            "think": None if self.think is None else list(self.think),
            "asking": asking_digest(),
            "rubric": rubric_id(judge),
            "params": {"temperature": judge.temperature, "max_tokens": judge.max_tokens},
            "repeats": self.repeats,
        }
        return {**said, "self": True} if self.is_self else said


def join_judge(
    run: Path,
    model: Model,
    judges: Sequence[Judge],
    *,
    params: Mapping[str, Any],
    repeats: int,
    is_self: bool,
    price: Price | None,
    start: Mapping[str, Any],
) -> Asked:
    """Enter one more start into a judge's manifest, which is made where there is none.

    Args:
        run: The run's folder.
        model: Who judges.
        judges: What is asked.
        params: Generation parameters over the rubrics' own.
        repeats: How often about each answer.
        is_self: Whether it is the model under test.
        price: Of the judge's tokens, where it is known.
        start: Command and versions of this start.
    """
    identity = judge_identity(model, params)
    folder = run / JUDGES / digest(identity)[:12]
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "repeats": repeats,
        "self": is_self,
        "rubrics": [rubric_id(judge) for judge in judges],
        "price": None if price is None else price.json(),
        **start,
    }
    join_identity(folder, identity, said)
    return _asked(folder)


def asked_judges(run: Path, also: Collection[Path] = ()) -> list[Asked]:
    """Return the judges that were asked about a run, by name; two that share a name are told apart by the options that differ.

    Of two that differ only in their adapter's text (it was edited in between) the one that was asked last counts. One of a shared name that
    never gave a verdict is left out once another was asked: its options were wrong, and no number rests on it.

    Args:
        run: The run's folder.
        also: Judges' folders that are not left out.

    Raises:
        LogError: A manifest is damaged.
    """
    found: dict[str, Asked] = {}
    for path in sorted((run / JUDGES).glob(f"*/{MANIFEST}")):
        asked = _asked(path.parent)
        key = digest(asked.kind)
        if key not in found or found[key].started < asked.started:
            found[key] = asked
    last = {one.name: one for one in sorted(found.values(), key=lambda one: one.started)}
    names = [one.name for one in found.values()]
    kept = [
        one
        for one in found.values()
        if names.count(one.name) == 1
        or one is last[one.name]
        or one.folder in also
        or _has_verdict(one.folder)
    ]
    apart = names_apart([one.kind for one in kept])
    named = [dataclasses.replace(one, name=name) for one, name in zip(kept, apart, strict=True)]
    return sorted(named, key=lambda one: one.name)


def _has_verdict(folder: Path) -> bool:
    """Return whether a judge gave a verdict; the bytes cannot stand inside a text, whose quotes are escaped."""
    try:
        with (folder / VERDICTS).open("rb") as file:
            return any(b',"verdict":' in line for line in file)
    except FileNotFoundError:
        return False


def is_judges(folder: Path) -> bool:
    """Return whether a folder with a manifest is a judge's: it lies in ``judges`` in a run's folder."""
    return folder.parent.name == JUDGES and (folder.parent.parent / MANIFEST).exists()


def check_no_judge(folder: Path) -> None:
    """Raise where a folder that was given as a run's is a judge's.

    Raises:
        UsageError: It is; the message has the run's.
    """
    if is_judges(folder.resolve()) and (folder / MANIFEST).exists():
        raise UsageError(
            f"{folder} holds a judge's verdicts; give the run's folder, {folder.resolve().parent.parent}"
        )


def _asked(folder: Path) -> Asked:
    manifest = read_manifest(folder)
    identity, start = manifest["identity"], manifest["starts"][-1]
    recorded = next((one["price"] for one in reversed(manifest["starts"]) if one.get("price")), None)
    return Asked(
        folder,
        identity["name"],
        identity["options"],
        identity["params"],
        start["repeats"],
        start["self"],
        start["time"],
        identity["adapter"],
        identity["source"],
        identity["think"],
        Price(**recorded) if recorded else None,
        kind_of(identity),
    )


class Known(NamedTuple):
    """What the log says of one verdict.

    Attributes:
        tries: How often it came back broken.
        entry: Where its record lies; None where no try was whole.
        is_rejected: Whether the judge cannot take this request, so that a second try is for nothing.
    """

    tries: int = 0
    entry: Entry | None = None
    is_rejected: bool = False

    @property
    def is_unjudged(self) -> bool:
        """Whether there will be no verdict."""
        return self.entry is None and (self.tries >= TRIES or self.is_rejected)

    @property
    def is_final(self) -> bool:
        """Whether nothing is to be asked any more."""
        return self.entry is not None or self.is_unjudged


class VerdictLog:
    """The verdicts of one judge; a context manager.

    Args:
        folder: The judge's folder.
        append: Take the lock and allow `append`.
        is_gated: Whether the texts are given to approved accounts only.

    Raises:
        LogError: Another process is writing it, or a line is damaged.
    """

    def __init__(self, folder: Path, *, append: bool = False, is_gated: bool = False) -> None:
        self.folder, self._is_gated = folder, is_gated
        self.ledger = Ledger()
        self.models: dict[str, int] = {}
        """Model names as the vendor gave them, with how many verdicts came from each."""
        self.dropped: dict[str, int] = {}
        """Parameters that its backend could not honour, with how many of its answers, broken ones too, went without."""
        self._known: dict[tuple[str, bytes], Known] = {}
        self._log = RunLog(folder, append=append, name=VERDICTS)
        self._private = -1
        for entry, record in self._log.records():
            self._see(entry, record)

    def __enter__(self) -> VerdictLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Sync what was written, and let the lock go."""
        self._log.close()
        if self._private >= 0:
            os.close(self._private)
            self._private = -1

    def _see(self, entry: Entry, record: Mapping[str, Any]) -> None:
        self.ledger.add(record)
        for name in record.get("dropped", ()) if "verdict" in record or "fault" in record else ():
            self.dropped[name] = self.dropped.get(name, 0) + 1
        key = (record["id"], entry.request)
        known = self._known.get(key, Known())
        if known.entry is None and "verdict" in record:
            self._known[key] = known._replace(entry=entry)
            if "model" in record:
                self.models[record["model"]] = self.models.get(record["model"], 0) + 1
        elif "fault" in record:
            self._known[key] = known._replace(
                tries=known.tries + 1, is_rejected=known.is_rejected or record["finish"] == "rejected"
            )

    def find(self, request: Request) -> tuple[Known, bytes]:
        """Return what is known of a verdict, and the hash of its request.

        Args:
            request: Its first try.
        """
        hashed = verdict_hash(request)
        return self._known.get((request.id, hashed), Known()), hashed

    def verdict(self, entry: Entry) -> dict[str, Any]:
        """Return the verdict that `find` pointed to."""
        found: dict[str, Any] = self._log.record(entry)["verdict"]
        return found

    def append(
        self, task: str, judge: Judge, request: Request, hashed: bytes, response: Response, read: Verdict
    ) -> Known:
        """Write one answer of the judge, and return what is known of its verdict now.

        Args:
            task: The task's spelling.
            judge: What was asked.
            request: What was sent, this try.
            hashed: `verdict_hash` of the first try.
            response: What came back.
            read: What was read from it; anything for a failure.
        """
        record = record_of(task, request.id, hashed.hex(), response)
        if response.finish != "error":
            if read.value is not None:
                record["verdict"] = read.value
            else:
                record["fault"] = read.fault or "broken"
        if self._is_gated:
            record = self._without_private(record, judge, request)
        self._log.append(record)
        entry = Entry(0, 0, hashed, response.finish != "error")  # its place is of no use to who writes
        self._see(entry, record)
        return self._known.get((request.id, hashed), Known())

    def _without_private(self, record: dict[str, Any], judge: Judge, request: Request) -> dict[str, Any]:
        """Return a record without free text, which is written to the private file first."""
        private: dict[str, Any] = {key: record.pop(key) for key in ("text", "reasoning") if key in record}
        if "error" in record:  # a server's words: they may tell of the patient without quoting
            private["error"], record["error"] = record["error"], f"the reason stands in {PRIVATE}"
        if "fault" in record:
            said = "\n".join([request.text, *private.values()])
            record["fault"] = without_quotes(record["fault"][:_LONGEST_ERROR], said, _QUOTE_IN_ERROR)
        if "verdict" in record:
            whole = record["verdict"]
            record["verdict"] = {key: value for key, value in whole.items() if key not in judge.private}
        if private:
            self._keep_private({"id": request.id, "request": record["request"], **private})
        return record

    def _keep_private(self, record: Mapping[str, Any]) -> None:
        """Write one line to the private file; a line that a kill left torn stays a line of its own.

        Raises:
            LogError: The disk is full or fails.
        """
        path = self.folder / PRIVATE
        line = json.dumps(record).encode("ascii") + b"\n"
        try:
            if self._private < 0:
                self._private = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                size = os.fstat(self._private).st_size
                if size and os.pread(self._private, 1, size - 1) != b"\n":
                    line = b"\n" + line
            while line:
                line = line[os.write(self._private, line) :]
        except OSError as error:
            raise LogError(
                f"cannot write to {path}: {error.strerror or error}; make room, then give the same command again"
            ) from error

    def verdicts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, record) of every record, in the order of the log: for audits."""
        for _, record in self._log.records():
            yield record["id"], record


def shown_error(error: Exception, judge: str, asked: Iterable[str], *, is_gated: bool) -> Exception:
    """Return what may be said of a judge's breakdown: one sentence, of gated data without a quotation of what was asked.

    Args:
        error: What the adapter raised.
        judge: The judge's name.
        asked: The texts of the requests that it had.
        is_gated: Whether they are given to approved accounts only.

    >>> shown_error(KeyError("Seen on Monday with pain."), "j", ["Seen on Monday with pain."], is_gated=True)
    AdapterError("judge j failed: KeyError: '[quotes the request, left out]'")
    """
    if isinstance(error, (LogError, LimitReachedError)):
        return error
    is_known = isinstance(error, NovaBenchError)
    if is_known and not is_gated:
        return error
    said = (str(error) if is_known else f"judge {judge} failed: {type(error).__name__}: {error}")[
        :_LONGEST_ERROR
    ]
    for text in asked if is_gated else ():
        for form in (text, repr(text)[1:-1], json.dumps(text)[1:-1]):
            said = without_quotes(said, form, _QUOTE_IN_ERROR)
    return AdapterError(said)


def verdict_hash(request: Request) -> bytes:
    """Return the hash by which a verdict is known: of its first try's request, with rubric, version, texts, schema and parameters."""
    return request_hash(request, lambda image: image.digest)
