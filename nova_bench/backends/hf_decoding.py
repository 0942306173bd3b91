"""How the rows of a batch go on inside `transformers`' ``generate``, each by its own request's parameters.

``generate`` knows one temperature, one seed and one limit for a whole batch, and draws for all rows from one stream, so that an answer
would depend on its neighbours. Here each row has its own:

- Temperature 0, or none given: the likeliest token.
- Temperature above 0: one number a token, from a generator seeded with the request's seed and its id, is looked up in the cumulated
  probabilities. So an answer does not depend on the batch, nor on its place in it; and two requests with one seed do not draw the same
  numbers, which would tie their answers to each other.
- A JSON schema: tokens that it does not allow are excluded (xgrammar).
- Stop texts and the limit of tokens end a row; an answer ends before the stop text.

Probabilities of labels are the model's own: before temperature, before a schema excludes anything, and over the whole vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_bench.backends.label_probs import label_probs
from nova_bench.errors import AdapterError
from nova_bench.types import Finish, Request, Response, Usage

_OTHERS = "\0"
"""Stands for all tokens that neither are nor begin a label."""

LONGEST_WHITESPACE = 20
"""Characters of white space in a row that a schema's answer may hold: without a limit, a model that is lost writes blanks to the end."""


class ClosedError(Exception):
    """The adapter was closed in the middle of a batch."""


def generator(request: Request) -> random.Random:
    """Return the source of random numbers of a request: its own, whatever else is asked, and in whatever order.

    >>> one, two = (Request(name, name, 0, ("?",)) for name in ("1", "2"))
    >>> generator(one).random() == generator(one).random() != generator(two).random()
    True
    """
    named = f"{request.params.seed}\n{request.id}".encode()
    return random.Random(int.from_bytes(hashlib.sha256(named).digest()))


class TokenTexts:
    """The text of every token, for telling which of them are labels.

    Servers list the likeliest 20 tokens of a position. Here all are known, so that no label's share is a guess.

    Args:
        tokenizer: The checkpoint's tokenizer.
        vocabulary: How many logits the model gives a position.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._texts: list[str] | None = None
        self._of: dict[tuple[str, ...], dict[str, list[int]]] = {}

    def __getitem__(self, token: int) -> str:
        return str(self._tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def beginning(self, labels: tuple[str, ...]) -> dict[str, list[int]]:
        """Return the texts that are, or begin, one of the labels, with the tokens of each; letter case and white space around them aside."""
        if labels not in self._of:
            if self._texts is None:
                known = min(self._vocabulary, len(self._tokenizer))  # further logits stand for no token
                self._texts = [self[token] for token in range(known)]
            folded = [label.strip().casefold() for label in labels]
            found: dict[str, list[int]] = {}
            for token, text in enumerate(self._texts):
                bare = text.strip().casefold()
                if bare and any(label.startswith(bare) for label in folded):
                    found.setdefault(text, []).append(token)
            self._of[labels] = found
        return self._of[labels]

    def position(self, scores: Any, labels: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return what `label_probs` has to know of a position, whose logits are given."""
        import torch

        chances = torch.softmax(scores.double().cpu(), dim=-1)
        # Tokens of one text ("Yes" and "▁Yes" of a SentencePiece vocabulary) are one entry: `label_probs` tells entries apart by text.
        mass = {text: float(chances[tokens].sum()) for text, tokens in self.beginning(labels).items()}
        mass[_OTHERS] = max(0.0, 1.0 - sum(mass.values()))
        return [{"token": text, "logprob": math.log(chance)} for text, chance in mass.items() if chance > 0]


class Grammars:
    """JSON schemas as xgrammar's grammars over a tokenizer's tokens; each is compiled once.

    Args:
        tokenizer: The checkpoint's tokenizer.
        vocabulary: How many logits the model gives a position.
        ends: The tokens that end an answer.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        import xgrammar

        self._xgrammar = xgrammar
        self.vocabulary = vocabulary
        tokens = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=list(ends)
        )
        self._compiler = xgrammar.GrammarCompiler(tokens, max_threads=4)
        # xgrammar lets raw control characters into a text with a greatest length, and JSON does not: it was no JSON any more. Between the
        # values they are line breaks at most, which JSON can do without.
        self._control_tokens = [
            token
            for token, text in enumerate(tokens.decoded_vocab)
            if token not in ends and any(byte < 0x20 for byte in text)
        ]
        self._controls: Any = None
        self._compiled: dict[str, Any] = {}

    def matcher(self, schema: Mapping[str, Any]) -> Any:
        """Return a matcher at the beginning of an answer.

        Raises:
            AdapterError: xgrammar does not know a part of the schema.
        """
        key = json.dumps(schema)
        if key not in self._compiled:
            try:
                self._compiled[key] = self._compiler.compile_json_schema(
                    key, max_whitespace_cnt=LONGEST_WHITESPACE
                )
            except Exception as error:  # the binding raises RuntimeError, and may raise others
                raise AdapterError(
                    f"xgrammar cannot hold answers to this JSON schema: {error}; ask without it: -o json_schema=false"
                ) from None
        return self._xgrammar.GrammarMatcher(self._compiled[key])

    def mask(self, n_rows: int) -> Any:
        """Return a bit mask for so many rows, everything allowed."""
        return self._xgrammar.allocate_token_bitmask(n_rows, self.vocabulary)

    def apply(self, scores: Any, mask: Any, rows: list[int]) -> None:
        """Exclude, in place, what a mask does not allow in these rows; logits that stand for no token are excluded too."""
        import torch

        self._xgrammar.apply_token_bitmask_inplace(scores, mask.to(scores.device), indices=rows)
        if self._controls is None:
            self._controls = torch.tensor(self._control_tokens, device=scores.device)
        scores[torch.tensor(rows, device=scores.device)[:, None], self._controls] = float("-inf")


class _Row:
    """One request on its way through a batch."""

    def __init__(self, request: Request, n_input: int, limit: int, matcher: Any) -> None:
        self.request = request
        self.n_input = n_input
        self.limit = limit
        self.matcher = matcher
        self.is_ended = False
        self.is_broken = False
        """Whether the model gave no numbers."""
        self.stopped_at: int | None = None
        """How many tokens there were when a stop text was complete."""
        self.temperature = request.params.temperature or 0.0
        self.random = generator(request) if self.temperature > 0 else None
        self.wants_probs = "label_probs" in request.outputs
        self.positions: list[dict[str, Any]] = []


class Choice:
    """`Rows.choose` as an object of its own: a logits processor.

    ``generate`` inspects the signature of a processor's ``__call__`` at every token. That of a bound method is a builtin, whose signature
    takes 0.3 ms to work out: a tenth of a small model's time.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Make the token that each row goes on with the likeliest one."""
        return self._rows.choose(input_ids, scores)


class Rows:
    """The rows of one batch; `choose` is a logits processor and `ended` a stopping criterion of ``generate``.

    Args:
        requests: The batch, in its order.
        n_inputs: Tokens of each prompt, padding left out.
        n_prompt: Tokens of the padded prompts.
        limits: The most tokens of each answer.
        tokenizer: The checkpoint's tokenizer.
        token_texts: The text of every token.
        ends: The tokens that end an answer.
        grammars: What holds answers to schemas; None leaves schemas out.
        is_closed: Asked at every token; where it says yes, `ended` raises `ClosedError`.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        n_inputs: Sequence[int],
        n_prompt: int,
        limits: Sequence[int],
        *,
        tokenizer: Any,
        token_texts: TokenTexts,
        ends: Sequence[int],
        grammars: Grammars | None,
        is_closed: Callable[[], bool],
    ) -> None:
        self._tokenizer = tokenizer
        self._token_texts = token_texts
        self._ends = frozenset(ends)
        self._grammars = grammars
        self._is_closed = is_closed
        self._n_prompt = n_prompt
        self._none: Any = None
        self.rows = [
            _Row(request, n_input, limit, self._matcher(request))
            for request, n_input, limit in zip(requests, n_inputs, limits, strict=True)
        ]
        self._sampled = [i for i, row in enumerate(self.rows) if row.random is not None]
        self._held = [i for i, row in enumerate(self.rows) if row.matcher is not None]
        self._stopping = [i for i, row in enumerate(self.rows) if row.request.params.stop]
        self._probed = [i for i, row in enumerate(self.rows) if row.wants_probs]
        self._mask = grammars.mask(len(self.rows)) if grammars is not None and self._held else None

    def choose(self, input_ids: Any, scores: Any) -> Any:
        """Make the token that each row goes on with the likeliest one (a logits processor)."""
        is_first = input_ids.shape[1] == self._n_prompt
        if is_first:  # float16 overflows in models that were trained in bfloat16; to look once costs nothing
            for row, is_broken in zip(self.rows, scores.isnan().any(-1).tolist(), strict=True):
                row.is_broken = row.is_ended = is_broken
        last = None if is_first else input_ids[:, -1].tolist()
        if self._probed:
            self._probe(scores, last)
        if self._held:
            self._hold(scores, last)
        if self._sampled:
            self._sample(scores)
        return scores

    def ended(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Tell which rows are done (a stopping criterion); tokens that end an answer are seen by ``generate`` itself.

        Raises:
            ClosedError: The adapter was closed.
        """
        import torch

        if self._is_closed():
            raise ClosedError
        n_tokens = input_ids.shape[1] - self._n_prompt
        is_changed = self._none is None
        for i in self._stopping:
            row = self.rows[i]
            if not row.is_ended and self._has_stop(row, input_ids[i, self._n_prompt :]):
                row.is_ended, row.stopped_at, is_changed = True, n_tokens, True
        for row in self.rows:
            if not row.is_ended and n_tokens >= row.limit:
                row.is_ended = is_changed = True
        if is_changed:
            self._none = torch.tensor([row.is_ended for row in self.rows], device=input_ids.device)
        return self._none

    def response(self, i: int, tokens: Sequence[int], **known: Any) -> Response:
        """Return the response of a row.

        Args:
            i: The row's place in the batch.
            tokens: What was generated in it; what follows its end does not count.
            known: Further fields of the response.
        """
        row = self.rows[i]
        if row.is_broken:
            error = "the model's logits are no numbers (NaN); its precision does not suffice: use -o dtype=bfloat16 or float32"
            return Response(row.request.id, finish="error", error=error, **known)
        tokens = list(tokens[: row.limit if row.stopped_at is None else row.stopped_at])
        finish: Finish = "length" if row.stopped_at is None else "stop"
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        if end is not None:
            finish = "stop"
        text = self._text(tokens[:end])
        found = [at for stop in row.request.params.stop if stop and (at := text.find(stop)) >= 0]
        if found:
            text, finish = text[: min(found)], "stop"
        dropped: tuple[str, ...] = known.pop("dropped", ())
        arrays = {}
        if row.wants_probs:
            positions = [
                {**position, "token": self._token_texts[token]}
                for position, token in zip(row.positions, tokens, strict=False)
            ]
            probs = label_probs(positions, row.request.labels)
            if probs is None:
                dropped = (*dropped, "label_probs")
            else:
                arrays["label_probs"] = probs
        n_output = len(tokens) if end is None else end + 1
        usage = Usage(input_tokens=row.n_input, output_tokens=n_output)
        return Response(row.request.id, text, finish, arrays=arrays, dropped=dropped, usage=usage, **known)

    def _matcher(self, request: Request) -> Any:
        schema = request.params.json_schema
        return None if self._grammars is None or schema is None else self._grammars.matcher(schema)

    def _probe(self, scores: Any, last: list[int] | None) -> None:
        """Note the probabilities at each position, until an answer holds something that is not blank."""
        if last is not None:
            self._probed = [i for i in self._probed if not self._token_texts[last[i]].strip()]
        for i in self._probed:
            row = self.rows[i]
            row.positions.append({"top_logprobs": self._token_texts.position(scores[i], row.request.labels)})

    def _hold(self, scores: Any, last: list[int] | None) -> None:
        assert self._grammars is not None  # rows are held by grammars alone
        # A row that has ended goes on with padding, which its grammar does not know.
        held = []
        for i in self._held:
            row = self.rows[i]
            if row.is_ended or row.matcher.is_terminated():
                continue
            if last is not None and not row.matcher.accept_token(last[i]):
                row.is_ended = True
                continue
            if not row.matcher.is_terminated():
                row.matcher.fill_next_token_bitmask(self._mask, i)
                held.append(i)
        self._held = held
        if held:
            self._grammars.apply(scores, self._mask, held)

    def _sample(self, scores: Any) -> None:
        import torch

        rows = torch.tensor(self._sampled, device=scores.device)
        # Cumulated in double: a vocabulary of 150,000 would lose its tail in single precision.
        exact = torch.float32 if scores.device.type == "mps" else torch.float64
        temperatures = torch.tensor([self.rows[i].temperature for i in self._sampled], device=scores.device)
        drawn = [self.rows[i].random.random() for i in self._sampled]  # type: ignore[union-attr]  # rows that sample have one
        cumulated = torch.softmax(scores[rows].to(exact) / temperatures[:, None].to(exact), -1).cumsum(-1)
        targets = torch.tensor(drawn, dtype=exact, device=scores.device)[:, None] * cumulated[:, -1:]
        chosen = torch.searchsorted(cumulated, targets, right=True).clamp(max=scores.shape[-1] - 1)
        scores[rows] = float("-inf")
        scores[rows, chosen[:, 0]] = 0.0

    def _has_stop(self, row: _Row, tokens: Any) -> bool:
        """Tell whether the newest token completed a stop text."""
        stops = [stop for stop in row.request.params.stop if stop]
        if not stops:
            return False
        # A token is a byte at least, so these hold every stop text that can have been completed just now.
        nearest = max(len(stop.encode()) for stop in stops) + 8
        if not any(stop in self._text(tokens[-nearest:].tolist()) for stop in stops):
            return False
        whole = self._text(tokens.tolist())
        return any(stop in whole for stop in stops)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
