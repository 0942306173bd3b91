"""Gated data and hosted models: pictures and texts of patients go to a vendor only if the user said so.

The licence of a gated data set binds whoever was given access; a vendor was not. So a run on one asks for ``--allow-hosted`` before
anything is sent, where the model's answers come from elsewhere: its backend has an address that is neither this machine's nor of a
private network, or, where a backend has no address, its card says ``sends = "vendor"``. The embedded samples are gated to nobody.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from nova_bench.adapter import Model
from nova_bench.errors import UsageError
from nova_bench.source import Source


def check_hosted(source: Source, model: Model, *, is_allowed: bool) -> None:
    """Refuse to send a gated data set to a vendor unless that was allowed.

    Args:
        source: The data set; one that is not gated may go anywhere.
        model: The model, ready but not asked yet.
        is_allowed: Whether the user gave ``--allow-hosted``.

    Raises:
        UsageError: It would be sent to a vendor, and that was not allowed.
    """
    if not source.gated or is_allowed or not sends_to_vendor(model):
        return
    terms = ": ".join(filter(None, (source.license, source.license_url)))
    where = f" ({source.hub})" if source.hub else ""
    raise UsageError(
        f"model {model.name} would send pictures and texts of {source.name}{where} to a vendor. They are gated and under the licence "
        f"{terms}\nIf your access to them allows that, run again with --allow-hosted (Python: allow_hosted=True); "
        "else use a model on this machine or in your own network"
    )


def sends_to_vendor(model: Model) -> bool:
    """Return whether a model's requests leave this machine and its private network.

    The address decides where there is one: the adapter ``openai`` sends to a vendor by its card, and not with ``-o
    base_url=http://localhost:8000/v1``. What a server in the private network passes on is not seen here.
    """
    is_private = getattr(model.adapter, "is_private", None)
    if isinstance(is_private, bool):
        return not is_private
    address = model.options.get("base_url")
    if isinstance(address, str) and address:
        from nova_bench.backends.addresses import is_private_host

        return not is_private_host(urlsplit(address).hostname or "")
    return model.card.sends == "vendor"
