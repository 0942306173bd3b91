"""One snapshot of a hub data set or model, in the hub client's own cache: found there, or downloaded, or a clear word on why not.

`fetch_snapshot` is for a data set with a table that names its files, `fetch_listed` for one whose files are known from its listing,
`fetch_model` for a model.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from nova_bench.errors import AdapterError, DataError, NovaBenchError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DOWNLOADS = 8  # files at once, what the hub's own client does
_CONFIG = "config.json"  # what every model has that its libraries can load
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_Kind = Literal["dataset", "model"]


def fetch_snapshot(
    repository: str,
    table: str,
    revision: str,
    *,
    files: Callable[[Path], Iterable[str]],
    ways: str = "",
    recorded: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return the folder of a complete snapshot, named by its commit; downloads what is not there yet.

    A commit whose files are all there needs no network. A branch is looked up at each call; while the hub is out of reach it
    stands for the commit of the last time. Address, cache and token are the client's (``HF_ENDPOINT``, ``HF_HOME``, ``hf auth``).

    Args:
        repository: ``owner/name`` of a data set.
        table: The file that is fetched first, relative to the repository.
        revision: Branch, tag or commit.
        files: From a snapshot folder that holds the table to the other files needed, relative paths. Those that the repository
            lacks are left out.
        ways: What the user can do instead, added to messages.
        recorded: Whether `revision` is a commit that a run recorded, for the message where it is gone.
        progress: Called with (files downloaded, files to download).

    Raises:
        DataError: The hub is out of reach or refuses, or has no such data set, revision or table.
    """
    import huggingface_hub as hub

    here = _snapshot_here(repository, table, revision)
    if here is not None and _COMMIT.fullmatch(revision) and not _missing(here, files):
        return here
    try:
        # asked first, as this call has a time limit and no retries: a dead or silent hub is known within seconds
        hub.HfApi().dataset_info(repository, revision=revision, timeout=hub.constants.HF_HUB_ETAG_TIMEOUT)
        folder = _snapshot(
            hub.hf_hub_download(repository, table, repo_type="dataset", revision=revision), table
        )
        _download(repository, folder, _missing(folder, files), progress)
    except Exception as error:
        explained = _explain(error, repository, table, revision, recorded)
        if explained is None:
            raise
        out_of_reach, message = explained
        if out_of_reach and here is not None and not _missing(here, files):
            return here
        raise DataError(f"{message} {ways}".strip()) from error
    return folder


def fetch_listed(
    repository: str,
    revision: str,
    *,
    side: Sequence[str],
    files: Callable[[Path | None, Sequence[str] | None], list[str] | None],
    ways: str = "",
    recorded: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Return the folder of a complete snapshot of a data set without a table; otherwise as `fetch_snapshot`.

    Args:
        repository: ``owner/name`` of a data set.
        revision: Branch, tag or commit.
        side: Paths of the files that say which others are needed; those that the repository has are fetched first.
        files: From the snapshot's folder (None before anything is there) and the repository's listing (None while the hub was not
            asked) to the files needed; None where that cannot be told.
        ways: What the user can do instead, added to messages.
        recorded: Whether `revision` is a commit that a run recorded.
        progress: Called with (files downloaded, files to download).

    Raises:
        DataError: The hub is out of reach or refuses, or its copy holds nothing that can be read.
    """
    import huggingface_hub as hub

    cached = (_snapshot_here(repository, name, revision) for name in side)
    here = next((folder for folder in cached if folder is not None), None)

    def is_complete(folder: Path) -> bool:
        wanted = files(folder, None)
        return wanted is not None and not _missing(folder, lambda _: wanted)

    if here is not None and _COMMIT.fullmatch(revision) and is_complete(here):
        return here
    try:
        asked = hub.HfApi().dataset_info(
            repository, revision=revision, timeout=hub.constants.HF_HUB_ETAG_TIMEOUT
        )
        names = [sibling.rfilename for sibling in asked.siblings or ()]
        first = [name for name in names if name in side] or (files(None, names) or [])[:1]
        folder = None
        for name in first:
            path = hub.hf_hub_download(repository, name, repo_type="dataset", revision=revision)
            folder = _snapshot(path, name)
        wanted = files(folder, names)
        if folder is None or not wanted:
            shown = ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
            raise DataError(
                f"{repository} at commit {asked.sha} holds nothing that can be read ({shown or 'it is empty'}). {ways}".strip()
            )
        _download(repository, folder, _missing(folder, lambda _: wanted), progress)
    except DataError:
        raise
    except Exception as error:
        explained = _explain(error, repository, side[0], revision, recorded)
        if explained is None:
            raise
        out_of_reach, message = explained
        if out_of_reach and here is not None and is_complete(here):
            return here
        raise DataError(f"{message} {ways}".strip()) from error
    return folder


def fetch_model(
    repository: str,
    revision: str,
    *,
    choose: Callable[[Sequence[str]], Sequence[str]],
    is_complete: Callable[[Path], bool],
    ways: str = "",
) -> Path:
    """Return the folder of a model's snapshot, named by its commit; downloads what is not there yet, with the client's own progress bars.

    The hub is asked what the commit holds whenever it can be reached: nothing in a folder says whether a small file (a processor's
    settings) is missing from it. Weights come last, so that a folder whose weights are complete has the rest too.

    Args:
        repository: ``owner/name`` of a model.
        revision: Branch, tag or commit. While the hub is out of reach, a branch stands for the commit of the last time.
        choose: From the repository's listing to the files that are needed, those to download last at the end.
        is_complete: Whether a folder can be used though the hub cannot be asked.
        ways: What the user can do instead, added to messages.

    Raises:
        AdapterError: The hub is out of reach or refuses, there is no such model or revision, or no room for it.
    """
    import huggingface_hub as hub

    here = _snapshot_here(repository, _CONFIG, revision, "model")
    try:
        names, sizes, commit = _listing(repository, revision)
        wanted = choose(names)
        folder = _snapshot(hub.hf_hub_download(repository, _CONFIG, revision=revision), _CONFIG)
        if folder.name != commit:  # the branch moved between the two calls
            names, sizes, commit = _listing(repository, folder.name)
            wanted = choose(names)
        missing = _missing(folder, lambda _: wanted)
        _check_room(repository, sum(sizes.get(name, 0) for name in missing))
        for last in (False, True):
            part = [name for name in missing if name.endswith(_WEIGHTS) is last]
            _download(repository, folder, part, None, "model")
    except Exception as error:
        if isinstance(error, NovaBenchError):
            raise
        explained = _explain(error, repository, _CONFIG, revision, False, "model")
        if explained is None:
            raise
        out_of_reach, message = explained
        if out_of_reach and here is not None and is_complete(here):
            return here
        raise AdapterError(f"{message} {ways}".strip()) from error
    return folder


def _listing(repository: str, revision: str) -> tuple[list[str], dict[str, int], str]:
    """Return what a model's revision holds: paths, sizes in bytes where they are known, and its commit."""
    import huggingface_hub as hub

    asked = hub.HfApi().model_info(
        repository, revision=revision, files_metadata=True, timeout=hub.constants.HF_HUB_ETAG_TIMEOUT
    )
    siblings = asked.siblings or ()
    sizes = {sibling.rfilename: sibling.size for sibling in siblings if sibling.size is not None}
    return [sibling.rfilename for sibling in siblings], sizes, str(asked.sha)


def _check_room(repository: str, n_bytes: int) -> None:
    """Refuse a download that the disk has no room for: the client would find out after hours."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.is_dir())).free
    if n_bytes > free:
        raise AdapterError(
            f"{repository} needs {n_bytes / 1e9:.1f} GB more in {cache}, and {free / 1e9:.1f} GB are free there. Make room "
            "(`hf cache ls`, `hf cache rm`), or set HF_HOME to a folder on a larger disk."
        )


def _snapshot_here(repository: str, table: str, revision: str, kind: _Kind = "dataset") -> Path | None:
    """Return the snapshot folder that the client's cache has for a revision, if it holds the table."""
    import huggingface_hub as hub

    found = hub.try_to_load_from_cache(repository, table, revision=revision, repo_type=kind)
    return _snapshot(found, table) if isinstance(found, str) else None


def _snapshot(path: str, table: str) -> Path:
    """Return the snapshot folder in which the client put the table; its name is the commit."""
    return Path(path).parents[len(PurePosixPath(table).parts) - 1]


def _missing(folder: Path, files: Callable[[Path], Iterable[str]]) -> list[str]:
    """Return the needed files that a snapshot folder lacks."""
    return [path for path in files(folder) if not os.path.exists(os.path.join(folder, path))]


def _download(
    repository: str,
    folder: Path,
    paths: list[str],
    progress: Callable[[int, int], None] | None,
    kind: _Kind = "dataset",
) -> None:
    """Download files of a snapshot, several at a time; one that the repository lacks is left out."""
    import huggingface_hub as hub
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    class Silent(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
        """Shows nothing: a progress bar for each of a thousand files would help nobody."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

    def download(path: str) -> None:
        try:
            hub.hf_hub_download(
                repository,
                path,
                repo_type=kind,
                revision=folder.name,
                tqdm_class=Silent if kind == "dataset" else None,
            )
        except hub.errors.LocalEntryNotFoundError:
            raise  # the network failed and the cache has no copy; a kind of the next
        except hub.errors.EntryNotFoundError:
            return

    pool = ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="hub")
    try:
        for done, future in enumerate(as_completed([pool.submit(download, path) for path in paths]), 1):
            future.result()
            if progress is not None:
                progress(done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)


def _explain(
    error: Exception,
    repository: str,
    table: str,
    revision: str,
    recorded: bool,
    kind: _Kind = "dataset",
) -> tuple[bool, str] | None:
    """Return whether the hub is out of reach and what to tell the user; None for an error that has nothing to do with the hub."""
    from huggingface_hub import constants, errors

    answer: BaseException | None = error
    while answer is not None and not isinstance(answer, errors.HfHubHTTPError):
        answer = answer.__cause__  # the client wraps what the hub said
    if answer is None:
        unreachable = (
            errors.OfflineModeIsEnabled,
            errors.LocalEntryNotFoundError,
            ConnectionError,
            TimeoutError,
        )
        # the HTTP client's errors have no base class that all versions of the hub's client share
        if isinstance(error, unreachable) or type(error).__module__.startswith("httpx"):
            offline = (
                "HF_HUB_OFFLINE is set"
                if constants.is_offline_mode()
                else f"{type(error).__name__}: {_first_line(error)}"
            )
            return (
                True,
                f"{repository} is not complete on this machine and the hub is out of reach ({offline}).",
            )
        if isinstance(error, OSError):
            return False, f"{repository} cannot be downloaded into {constants.HF_HUB_CACHE}: {error}."
        return None
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{repository}"
    status = answer.response.status_code
    if status == 429 or status >= 500:
        return True, f"the hub cannot serve {repository} just now ({status}); the same command goes on later."
    if isinstance(answer, errors.RevisionNotFoundError):
        if recorded:
            return False, (
                f"commit {revision} of {repository}, which the run recorded, is gone from the hub and not complete in this "
                "machine's cache. A copy of that commit (--data FOLDER) lets the run go on; another --out starts a new one."
            )
        return False, f"{repository} has no revision {revision!r}; see {page}."
    if isinstance(answer, errors.EntryNotFoundError):
        return (
            False,
            f"{repository} has no {table} at revision {revision}; its layout has changed, see {page}.",
        )
    if status == 401:
        return False, (
            f"the hub refuses {repository} without a valid login (401): it is private or gated, or there is none. Log in with "
            f"`hf auth login` (or set HF_TOKEN) to an account that may read {page}."
        )
    if status == 403:
        return False, (
            f"the hub refuses {repository} to this account (403). Ask for access at {page}; a fine-grained token must also be "
            "allowed to read gated repositories."
        )
    if status == 404:
        what = "data set" if kind == "dataset" else "model"
        return False, f"the hub has no {what} {repository} (404); see {page}."
    return False, f"the hub answered {status} for {repository}: {_first_line(answer)}."


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
