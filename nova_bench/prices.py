"""What a model's tokens cost: price files, and the sum for a number of tokens.

A price is never guessed: a model that no file names has none, and then a cost is None with the reason.
"""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_bench.errors import UsageError

SHIPPED = Path(__file__).with_name("prices.toml")
"""Ships the format; see there why it names hardly a price."""

_KEYS = ("input", "cached_input", "output", "date")
_EXAMPLE = '[models."{model}"]\n    input = ...\n    output = ...\n    date = {date}'


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float
    cached_input: float | None
    """For input tokens that the vendor had in its own prompt cache; None: as other input."""
    date: str
    """When somebody read it on the vendor's page."""
    origin: str
    """The file that says so."""

    def cost(self, *, input_tokens: int, cached_tokens: int, output_tokens: int) -> float:
        """Return what tokens cost, in US dollars.

        Args:
            input_tokens: All of them, the cached ones included.
            cached_tokens: Those that the vendor had in its own prompt cache.
            output_tokens: All of them, reasoning included.

        >>> Price(1.0, 10.0, 0.5, "2026-01-31", "f").cost(input_tokens=3_000_000, cached_tokens=2_000_000, output_tokens=100_000)
        3.0
        """
        cached = min(cached_tokens, input_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        return (
            (input_tokens - cached) * self.input + cached * cached_price + output_tokens * self.output
        ) / 1e6

    def json(self) -> dict[str, Any]:
        """Return the price as JSON values."""
        return {key: getattr(self, key) for key in self.__slots__}


def price_files(config: Path, given: Path | str | None) -> list[Path]:
    """Return the price files in the order in which they are asked: `given`, the user's own, the shipped one."""
    own = config / "prices.toml"
    return [*([Path(given)] if given is not None else []), *([own] if own.exists() else []), SHIPPED]


def find_price(model: str, files: Sequence[Path]) -> Price | None:
    """Return the price of a model from the first file that names it; None where none does.

    Args:
        model: As ``--model`` spells it: ``openai:NAME``.
        files: From `price_files`. All are read, so that a mistake in one is found before money is spent.

    Raises:
        UsageError: A file is missing, or not of the form that ``prices.toml`` shows.
    """
    found = [read_prices(file) for file in files]
    return next((prices[model] for prices in found if model in prices), None)


def read_prices(file: Path) -> dict[str, Price]:
    """Return the prices that a file names.

    Raises:
        UsageError: It is missing, or not of the form that ``prices.toml`` shows.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"price file {file} cannot be read: {error.strerror or error}; give the path of one"
        ) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise UsageError(f"price file {file} is not TOML: {error}; its form: see {SHIPPED}") from error
    models = document.get("models", {})
    if set(document) - {"models"} or not isinstance(models, dict):
        raise UsageError(
            f'price file {file}: expected tables [models."ADAPTER:MODEL"] and nothing else, got {", ".join(document)}'
        )
    return {model: _read_price(model, entry, file) for model, entry in models.items()}


def missing_price(model: str, files: Sequence[Path]) -> str:
    """Return what to do where no file names a model's price."""
    today = datetime.datetime.now(datetime.UTC).date()
    where = files[-2] if len(files) > 1 else "~/.config/nova_bench/prices.toml"
    return (
        f"no price is known for {model!r}. Write it, in US dollars for a million tokens, into {where} (or a file for --prices):\n    "
        + _EXAMPLE.format(model=model, date=today)
    )


def _read_price(model: str, entry: object, file: Path) -> Price:
    where = f"price file {file}: {model!r}"
    if (
        not isinstance(entry, Mapping)
        or set(entry) - set(_KEYS)
        or not {"input", "output", "date"} <= set(entry)
    ):
        shown = ", ".join(entry) if isinstance(entry, Mapping) else repr(entry)
        raise UsageError(
            f"{where} takes input, output, date and perhaps cached_input, got {shown or 'nothing'}. A name with a point or colon stands in "
            'quotes: [models."openai:gpt-x.y"]'
        )
    numbers = {key: entry[key] for key in ("input", "cached_input", "output") if key in entry}
    for key, value in numbers.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
            or value < 0
        ):
            raise UsageError(f"{where}: {key} = {value!r}; expected US dollars for a million tokens")
    date = entry["date"]
    try:
        day = date if isinstance(date, datetime.date) else datetime.date.fromisoformat(date)
    except (TypeError, ValueError):
        raise UsageError(f"{where}: date = {date!r}; expected the day it was read, as 2026-01-31") from None
    cached = numbers.get("cached_input")
    return Price(
        float(numbers["input"]),
        float(numbers["output"]),
        None if cached is None else float(cached),
        day.isoformat()[:10],
        str(file),
    )
