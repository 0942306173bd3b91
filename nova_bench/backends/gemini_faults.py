"""How the Gemini API refuses a request: google.rpc.Status, and what its words mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nova_bench.backends.retry import PermanentError, TransientError, fault_of

if TYPE_CHECKING:
    from google.genai import errors

FIELDS: dict[str, tuple[str, ...]] = {
    "thinking": ("thinking_config",),
    "json_schema": ("response_json_schema", "response_mime_type"),
    "system": ("system_instruction",),
    "seed": ("seed",),
    "temperature": ("temperature",),
    "media_resolution": ("media_resolution",),
}
"""The SDK's fields of each parameter that a model may lack."""

_REJECT_TEXT = re.compile(
    r"token count.{0,40}exceeds|exceeds the maximum number of tokens|payload size exceeds"
    r"|(unable to process|cannot process|could not process|invalid) (the )?(input |provided )?image|image is not valid"
    r"|image.{0,80}(too (large|small|big|many)|exceed)|too many images|fewer (than \d+ )?images|unsupported mime type",
    re.IGNORECASE | re.DOTALL,
)
_FOR_ALL = re.compile(
    r"api key (not valid|expired|not found)|pass a valid api key|location is not supported", re.IGNORECASE
)
_SPENT = re.compile(r"credits? (are|is|were) depleted|spending cap", re.IGNORECASE)
_REFUSED_PARAMETERS = (
    ("thinking", re.compile(r"thinking|include.?thoughts", re.IGNORECASE)),
    ("json_schema", re.compile(r"json mode|json.?schema|response.?mime", re.IGNORECASE)),
    ("system", re.compile(r"(developer|system).?instruction", re.IGNORECASE)),
    ("seed", re.compile(r"\bseed\b", re.IGNORECASE)),
    ("temperature", re.compile(r"\btemperature\b", re.IGNORECASE)),
    ("media_resolution", re.compile(r"media.?resolution", re.IGNORECASE)),
)
_IS_REFUSED = re.compile(
    r"(is|are) not (enabled|supported|available)|does not support|not supported", re.IGNORECASE
)
"""How the API says that a model lacks a parameter: ``JSON mode is not enabled for models/gemma-3-27b-it``."""


class RefusedError(Exception):
    """An error in Google's form (google.rpc.Status): a code, a name, a message, and details by type."""

    def __init__(self, status: int, error: Mapping[str, Any], retry_after: str | None) -> None:
        self.status = status
        self.name = str(error.get("status") or "")
        self.message = str(error.get("message") or "")
        self.retry_after = retry_after
        listed = error.get("details")
        details = [mapping(detail) for detail in (listed if isinstance(listed, list) else [])]
        self.reasons = [str(detail.get("reason")) for detail in details]
        quotas = [
            str(mapping(violation).get("quotaId"))
            for detail in details
            for violation in (detail.get("violations") or ())
        ]
        self.is_daily = any("PerDay" in quota for quota in quotas)
        delays = [_duration(detail.get("retryDelay")) for detail in details]
        self.retry_delay = max((delay for delay in delays if delay is not None), default=None)
        super().__init__(" ".join(word for word in (str(status), self.name, self.message) if word))

    @classmethod
    def of(cls, error: errors.APIError) -> RefusedError:
        """Read an error of the SDK; a proxy's page instead of Google's form has a message and no details."""
        whole = mapping(error.details)
        inner = whole.get("error")
        held = inner if isinstance(inner, Mapping) else {**whole, "message": error.message or inner}
        return cls(int(error.code), held, getattr(error.response, "headers", {}).get("Retry-After"))

    @property
    def is_rejection(self) -> bool:
        """Whether the model cannot take this request, whenever it is asked: too long, too large, no picture that it reads."""
        return self.status == 413 or (self.status == 400 and _REJECT_TEXT.search(self.message) is not None)

    def lacking(self, config: Mapping[str, Any]) -> str | None:
        """Return the parameter of `FIELDS` in `config` that the API says this model does not have; None if it says no such thing."""
        if self.status != 400 or not _IS_REFUSED.search(self.message):
            return None
        for name, pattern in _REFUSED_PARAMETERS:
            if any(field in config for field in FIELDS[name]) and pattern.search(self.message):
                return name
        return None

    def fault(self, text: str) -> TransientError | PermanentError:
        """Return what it means for the request, told in `text`."""
        # As Google's own command line reads it: a day's quota is not healed by the delay that may come with it.
        is_spent = self.status == 429 and (self.is_daily or _SPENT.search(self.message) is not None)
        if is_spent or (
            self.status == 400 and ("API_KEY_INVALID" in self.reasons or _FOR_ALL.search(self.message))
        ):
            return PermanentError(text, concerns_all=True)
        if self.status == 499:  # CANCELLED, which the client did not do
            return TransientError(text)
        return fault_of(
            self.status, text, self.retry_after if self.retry_delay is None else str(self.retry_delay)
        )


def _duration(value: object) -> float | None:
    """Return the seconds of a google.protobuf.Duration in JSON.

    >>> _duration("34.5s"), _duration("soon"), _duration(None)
    (34.5, None, None)
    """
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", value):
        return None
    return float(value[:-1])


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, an empty one in place of anything else.

    >>> mapping({"code": 1}), mapping(["code"])
    ({'code': 1}, {})
    """
    return value if isinstance(value, Mapping) else {}
