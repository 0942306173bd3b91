"""A plan: which samples of which data set are asked, and in what form. Running and scoring walk the same plan."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nova_bench.data import Data
from nova_bench.errors import DataError, UsageError
from nova_bench.images import DigestIndex, Image
from nova_bench.signature import beyond_text, params_text, request_hash
from nova_bench.task import Task, Variant
from nova_bench.types import Card, Context, GenParams, Prediction, Prompt, Request, Response, Sample

SEED = 0
"""Seed of `limit` and of the shuffled-image control; both are part of the protocol."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that the data set's own fault keeps from being asked; it counts as a failed sample."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Limit:
    """Only the first `n` clusters in the order of sha256(seed, cluster), so that a larger n extends a smaller one."""

    n: int
    seed: int = SEED


class Plan:
    """What one run asks: a task in one variant, on one data set, with the parameters of one run.

    Args:
        task: The task.
        variant: The whole variant, from `Task.variant`.
        data: The opened data set.
        card: The model's card; its frame is stated in prompts.
        params: Generation parameters; the seed of repeat r is ``params.seed + r``.
        repeats: How often each sample is asked.
        limit: Only so many clusters.
        digests: The index of image digests.
    """

    def __init__(
        self,
        task: Task,
        variant: Variant,
        data: Data,
        card: Card,
        *,
        params: GenParams | None = None,
        repeats: int = 1,
        limit: Limit | None = None,
        digests: DigestIndex | None = None,
    ) -> None:
        if repeats < 1:
            raise UsageError(f"repeats is {repeats}; expected 1 or more")
        if limit is not None and limit.n < 1:
            raise UsageError(f"limit is {limit.n}; expected 1 or more clusters (cases)")
        self.task, self.variant, self.data, self.card = task, dict(variant), data, card
        self.params = params or task.params
        self.repeats, self.limit = repeats, limit
        self.digests = digests or DigestIndex()
        self.spelling = task.spell(self.variant)
        self._params = [_seeded(self.params, repeat) for repeat in range(repeats)]
        self._ask: Mapping[str, Any] | None = None
        self._wanted: tuple[frozenset[str], tuple[str, ...]] | None = None
        self._beyond = ""
        self._params_text = {id(params): params_text(params) for params in self._params}

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield the samples of the plan in the data set's order, as they are: with their own images.

        Raises:
            DataError: Two samples have one id.
        """
        chosen = self._chosen_clusters
        seen: set[str] = set()
        for sample in self._all_samples():
            if sample.id in seen:
                raise DataError(
                    f"sample id {sample.id!r} stands twice in {self.data.source.name}: ids must be unique; mend the data set"
                )
            seen.add(sample.id)
            if chosen is None or (isinstance(sample, Sample) and sample.cluster in chosen):
                yield sample

    def requests(self, sample: Sample) -> Iterator[Request]:
        """Yield one request a repeat of a sample."""
        asked = self._as_asked(sample)
        prompt = self.task.prompt(asked, self.card)
        for repeat in range(self.repeats):
            request_id = f"{sample.id}#{repeat}" if repeat else sample.id
            yield self._request(request_id, sample.id, repeat, prompt)

    def hash(self, request: Request) -> bytes:
        """Return the sha256 of a request, 32 bytes.

        Raises:
            DataError: An image cannot be read.
        """
        # Only objects that this plan holds are looked up by identity, so that no other object can have taken the place of one.
        wanted = (request.outputs, request.labels)
        if request.ask is not self._ask or wanted != self._wanted:
            self._ask, self._wanted, self._beyond = request.ask, wanted, beyond_text(request)
        params = self._params_text.get(id(request.params))
        return request_hash(request, self.digests.digest, params=params, beyond=self._beyond)

    def shown_image(self, sample: Sample) -> tuple[Image, ...]:
        """Return the images that the model is shown for a sample, which the ``image`` control may have changed."""
        return self._as_asked(sample).images

    def predict(self, sample: Sample, response: Response) -> Prediction:
        """Return what the task's parser reads in a response.

        Boxes are read relative to the picture that was sent, in the size of the sample's own.

        Raises:
            DataError: An image that has to be measured cannot be read.
        """
        stored = tuple(image.size for image in sample.images)
        sent = response.image_sizes or tuple(image.size for image in self.shown_image(sample)) or stored
        return self.task.parse(response, Context(self.card.frame, self.card.think, stored, sent))

    @cached_property
    def n_samples(self) -> int:
        """How many samples the plan has; walks the data set where a limit was given or rows are not samples."""
        return sum(1 for _ in self.samples())

    @property
    def request_total(self) -> int:
        """How many requests there are; an upper bound where counting them would take long."""
        rows = self.n_samples if self.data.n_rows <= 100_000 else self.data.n_rows
        return rows * self.repeats

    def _request(self, request_id: str, sample_id: str, repeat: int, prompt: Prompt) -> Request:
        params = self._params[repeat]
        if prompt.json_schema is not None:
            params = dataclasses.replace(params, json_schema=prompt.json_schema)
        return Request(request_id, sample_id, repeat, prompt.parts, prompt.system, params, ask=prompt.ask)

    def _as_asked(self, sample: Sample) -> Sample:
        control = self.variant.get("image", "given")
        if control == "none":
            return dataclasses.replace(sample, images=())
        if control == "shuffled":
            return dataclasses.replace(sample, images=(self._other_images[sample.id],))
        return sample

    def _all_samples(self) -> Iterator[Sample | Unusable]:
        source = self.data.source
        for row in self.data.rows():
            try:
                # A variant without images is asked even where the picture files are not there.
                if source.images is not None and self.task.sends_image(self.variant):
                    row["image"] = self.data.image(row[source.images])
                yield from self.task.sample(row, self.variant)
            except DataError as error:
                yield Unusable(str(row[source.key]), str(error))

    @cached_property
    def _chosen_clusters(self) -> frozenset[str] | None:
        limit = self.limit
        if limit is None:
            return None
        clusters = {sample.cluster for sample in self._all_samples() if isinstance(sample, Sample)}
        return frozenset(sorted(clusters, key=lambda cluster: _rank(limit.seed, cluster))[: limit.n])

    @cached_property
    def _other_images(self) -> Mapping[str, Image]:
        return shuffle_images(sample for sample in self._all_samples() if isinstance(sample, Sample))


def shuffle_images(samples: Iterable[Sample]) -> dict[str, Image]:
    """Give each sample the image of a sample of another cluster; every image is given once.

    The samples stand in a seeded order with each cluster in one piece; a shift by the largest cluster's size then never stays in the cluster.
    The permutation is that of the whole data set, so a limit does not change it.

    Raises:
        UsageError: One cluster holds more than half of the images, so that no such permutation exists.
    """
    listed = [(sample.cluster, sample.id, sample.images[0]) for sample in samples if sample.images]
    listed.sort(key=lambda entry: (_rank(SEED, entry[0]), _rank(SEED, entry[1])))
    sizes: dict[str, int] = {}
    for cluster, _, _ in listed:
        sizes[cluster] = sizes.get(cluster, 0) + 1
    shift = max(sizes.values(), default=0)
    if len(listed) < 2 * shift:
        raise UsageError(
            f"image=shuffled needs images of other cases: one case holds {shift} of the {len(listed)} images"
        )
    return {sample_id: listed[(i + shift) % len(listed)][2] for i, (_, sample_id, _) in enumerate(listed)}


def _rank(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).digest()


def _seeded(params: GenParams, repeat: int) -> GenParams:
    return (
        params
        if params.seed is None or repeat == 0
        else dataclasses.replace(params, seed=params.seed + repeat)
    )
