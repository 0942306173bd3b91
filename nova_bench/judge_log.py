"""A judge's verdicts on a run's answers, on disk: ``judges/<12 hex>/`` in the run's folder.

``verdicts.jsonl`` is a log like that of the responses. A record counts where its id and the hash of its request are the same; the hash is
of the first try, so that all tries of a verdict share it. A record holds a ``verdict``, or the ``fault`` that made it none, or an
``error`` where no answer came. Of gated data it holds scores, counts and labels only: free text, the raw answer, the reasoning and the
words of errors go to ``private.jsonl`` (`nova_bench.judge_privacy`), which no report, page or bundle takes.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nova_bench.adapter import Model
from nova_bench.budget import Ledger
from nova_bench.errors import AdapterError, LimitReachedError, LogError, NovaBenchError
from nova_bench.judge import TRIES, asking_digest, rubric_id
from nova_bench.judge_names import judge_identity, kind_of, names_apart
from nova_bench.judge_privacy import split_record
from nova_bench.judge_reading import Verdict, read_verdict
from nova_bench.log_index import Entry
from nova_bench.prices import Price
from nova_bench.private_file import PrivateFile, error_kind
from nova_bench.runlog import MANIFEST, RunLog, join_identity, read_manifest, record_of
from nova_bench.signature import digest, request_hash
from nova_bench.types import Judge, Request, Response

JUDGES = "judges"
VERDICTS = "verdicts.jsonl"


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A judge that was asked about a run: what its manifest says."""

    folder: Path
    name: str
    """What its columns are called: its own name, and what differs where two of a run share that (`nova_bench.judge_names`)."""
    identity: Mapping[str, Any]
    """Of `nova_bench.judge_names.judge_identity`."""
    repeats: int
    """Of the last start: how often it was asked about each answer."""
    is_self: bool
    """Whether it is the model under test."""
    started: str = ""
    """When it was last asked."""
    price: Price | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """Of its adapter, those that can change an answer."""
        return dict(self.identity["options"])

    @property
    def params(self) -> Mapping[str, Any]:
        """Generation parameters over the rubrics' own: ``max_tokens``, ``temperature``."""
        return dict(self.identity["params"])

    @property
    def kind(self) -> Mapping[str, Any]:
        """All that tells it from a judge of the same name, the adapter's text apart."""
        return kind_of(self.identity)

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
            "model": self.identity["name"],
            "adapter": self.identity["adapter"],
            "source": self.identity["source"][:12],
            "options": self.options,
            "think": self.identity["think"],
            "asking": asking_digest(),
            "rubric": rubric_id(judge),
            "params": {"temperature": judge.temperature, "max_tokens": judge.max_tokens},
            "repeats": self.repeats,
        }
        return {**said, "self": True} if self.is_self else said


def planned_judge(
    run: Path,
    model: Model,
    name: str,
    *,
    params: Mapping[str, Any],
    repeats: int,
    is_self: bool,
    price: Price | None,
) -> Asked:
    """Return what a judge's manifest below a folder would say of it; nothing is written.

    Args:
        run: The run's folder, which need not be there.
        model: Who judges.
        name: What it is called.
        params: Generation parameters over the rubrics' own.
        repeats: How often about each answer.
        is_self: Whether it is the model under test.
        price: Of the judge's tokens, where it is known.
    """
    identity = judge_identity(model, params)
    return Asked(run / JUDGES / digest(identity)[:12], name, identity, repeats, is_self=is_self, price=price)


def join_judge(asked: Asked, judges: Sequence[Judge], start: Mapping[str, Any]) -> None:
    """Enter one more start into a judge's manifest, which is made where there is none.

    Args:
        asked: Who judges and how, of `planned_judge`; its log is open for writing.
        judges: What is asked.
        start: Command and versions of this start.
    """
    said = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "repeats": asked.repeats,
        "self": asked.is_self,
        "rubrics": [rubric_id(judge) for judge in judges],
        "price": None if asked.price is None else asked.price.json(),
        **start,
    }
    join_identity(asked.folder, asked.identity, said)


def asked_judges(run: Path, also: Collection[Path] = ()) -> list[Asked]:
    """Return the judges whose verdicts on a run count, by name; two that share a name are told apart by the options that differ.

    One that never answered does not count: its name or its options were mistyped, or its server was never there, and it would leave the run
    incomplete for good. Of two that differ only in their adapter's text (it was edited in between) the one that was asked last counts.

    Args:
        run: The run's folder.
        also: Folders of judges that count in any case, because this start asks them.

    Raises:
        LogError: A manifest or a line of verdicts is damaged.
    """
    found: dict[str, Asked] = {}
    for asked in all_judges(run):
        key = digest(asked.kind)
        if key in found and found[key].started >= asked.started:
            continue
        if asked.folder in also or has_answered(asked):
            found[key] = asked
    kept = list(found.values())
    apart = names_apart([one.kind for one in kept])
    named = [dataclasses.replace(one, name=name) for one, name in zip(kept, apart, strict=True)]
    return sorted(named, key=lambda one: one.name)


def all_judges(run: Path) -> list[Asked]:
    """Return all judges that were ever asked about a run, each set of options apart.

    Raises:
        LogError: A manifest is damaged.
    """
    return [_asked(path.parent) for path in sorted((run / JUDGES).glob(f"*/{MANIFEST}"))]


def idle_judges(run: Path, also: Collection[Path] = ()) -> list[Asked]:
    """Return the judges of `all_judges` that do not count, and in whose place none counts that differs only in its adapter's text.

    Args:
        run: The run's folder.
        also: As for `asked_judges`.
    """
    counting = {digest(one.kind) for one in asked_judges(run, also)}
    return [one for one in all_judges(run) if digest(one.kind) not in counting]


def has_answered(asked: Asked) -> bool:
    """Return whether a judge ever answered, with a verdict or with what was none.

    Raises:
        LogError: A line before the first answer is damaged.
    """
    with RunLog(asked.folder, name=VERDICTS) as log:
        return any(entry.is_final for entry, _ in log.records())


def _asked(folder: Path) -> Asked:
    manifest = read_manifest(folder)
    identity, start = manifest["identity"], manifest["starts"][-1]
    recorded = next((one["price"] for one in reversed(manifest["starts"]) if one.get("price")), None)
    price = Price(**recorded) if recorded else None
    return Asked(folder, identity["name"], identity, start["repeats"], start["self"], start["time"], price)


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
        self._private = PrivateFile(folder)
        for entry, record in self._log.records():
            self._see(entry, record)

    def __enter__(self) -> VerdictLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Sync what was written, and let the lock go."""
        self._log.close()
        self._private.close()

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
            record, private = split_record(record, judge, request)
            if private:  # first: what the log tells of must be there
                self._private.write({"id": request.id, "request": record["request"], **private})
        self._log.append(record)
        entry = Entry(0, 0, hashed, response.finish != "error")  # its place is of no use to who writes
        self._see(entry, record)
        return self._known.get((request.id, hashed), Known())

    def tell_privately(self, sentence: str) -> None:
        """Write what may stand nowhere else to the private file.

        Raises:
            LogError: The disk is full or fails.
        """
        self._private.write({"ended": sentence})

    def verdicts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, record) of every record, in the order of the log: for audits."""
        for _, record in self._log.records():
            yield record["id"], record


def told_end(error: Exception | SystemExit, judge: str, log: VerdictLog, *, is_gated: bool) -> Exception:
    """Return what may be said of what ended a judge: one sentence, of gated data without a word of what was raised.

    Args:
        error: What came out of its adapter.
        judge: Its name.
        log: Its log, whose private file takes the words.
        is_gated: Whether the texts are given to approved accounts only.
    """
    if isinstance(error, (LogError, LimitReachedError)):
        return error
    told = f"{type(error).__name__}: {error}"
    if is_gated:
        log.tell_privately(told)
        return AdapterError(f"judge {judge} failed: {error_kind(told)} of its verdicts")
    return (
        error if isinstance(error, NovaBenchError) else AdapterError(f"judge {judge} failed: {told[:2000]}")
    )


def read_answer(
    judge: Judge, response: Response, texts: Mapping[str, str], think: tuple[str, str] | None
) -> Verdict:
    """Read a verdict; an exception of whatever kind out of reading it, the rubric's own check included, makes it a broken one.

    Args:
        judge: What was asked.
        response: What came back; for a failure there is nothing to read.
        texts: The texts as they went in.
        think: The tags of the judge's reasoning.
    """
    if response.finish == "error":
        return Verdict(None)
    try:
        return read_verdict(judge, response, texts, think)
    except Exception as error:  # its words may be those of the answer
        return Verdict(None, f"{type(error).__name__} while the verdict was read")


def verdict_hash(request: Request) -> bytes:
    """Return the hash by which a verdict is known: of its first try's request, with rubric, version, texts, schema and parameters."""
    return request_hash(request, lambda image: image.digest)
