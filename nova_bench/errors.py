"""The exceptions that nova_bench raises for mistakes it can explain.

    NovaBenchError
    ├── UsageError          a name, option or value that does not exist (exit code 2)
    │   └── UnknownNameError    with the closest names that do
    ├── DataError           a data set that is missing, damaged or not accepted
    ├── AdapterError        an adapter file that breaks the contract
    ├── BundleError         a bundle or entry that cannot be read, or does not hold what it says
    ├── IdentityError       a run folder that belongs to another run
    ├── LimitReachedError   a run that stopped at a limit of the user's
    └── LogError            a run log that cannot be trusted

Every message says what was got, what was expected and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NovaBenchError(Exception):
    """Any mistake that nova_bench can explain; the command line prints it without a traceback."""


class UsageError(NovaBenchError):
    """A name, option or value that does not fit; the command line exits with 2."""


class UnknownNameError(UsageError):
    """A name that was looked up and not found.

    Args:
        kind: What was looked for ("task", "adapter", "option of adapter 'openai'").
        name: The name as given.
        known: All names that exist.
        where: Where they were looked for, for the message.
        path: A file that may have been meant; it is offered before any name.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "", path: str = "") -> None:
        names = sorted(set(known))
        self.closest = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        message = f"{kind} {name!r} not found{' in ' + where if where else ''}"
        if path:
            message += f"; the file that is here is {path}: a file is named by its path, with a slash"
        elif self.closest:
            message += "; did you mean " + " or ".join(repr(close) for close in self.closest) + "?"
        elif names:
            shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            message += f"; there is: {shown}"
        else:
            message += "; there is none"
        super().__init__(message)


class DataError(NovaBenchError):
    """A data set, row or image that is missing, damaged, ambiguous or not accepted yet."""


class AdapterError(NovaBenchError):
    """An adapter file that cannot be loaded, or that breaks the contract of `generate`."""


class BundleError(NovaBenchError):
    """A bundle or an entry of a submission that cannot be read, or that does not hold what it says."""


class IdentityError(NovaBenchError):
    """A run folder that holds another run than the one asked for."""


class LimitReachedError(NovaBenchError):
    """A run that stopped, resumable, because a limit of the user's was reached."""


class LogError(NovaBenchError):
    """A run log with a damaged line, or one that another process is writing."""


class RemoteCodeWarning(UserWarning):
    """Said before a checkpoint's own Python code runs on this machine, because the user allowed it."""
