"""Plans: which samples a limit takes, what repeats ask, and which picture the shuffled control shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import make_set

import nova_bench as nb
from nova_bench.data import open_data
from nova_bench.errors import UsageError
from nova_bench.images import Image
from nova_bench.plan import Limit, Plan, shuffle_images
from nova_bench.types import Card, GenParams, Sample

CASES = [1, 2, 3, 1, 2, 3, 1, 2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("plan") / "set", CASES)


def plan(folder: Path, task: str = "nova_localization", limit: Limit | None = None, **more: object) -> Plan:
    loaded = nb.load_task(task)
    home = folder.parent
    opened = open_data(loaded.data, str(folder), content=home, cache=home / "cache", config=home / "config")
    variant = loaded.variant(more.pop("variant", {}))  # type: ignore[arg-type]
    return Plan(loaded, variant, opened, Card(), limit=limit, **more)  # type: ignore[arg-type]


def ids(made: Plan) -> list[str]:
    return [sample.id for sample in made.samples()]


def test_limit_takes_whole_clusters_and_a_larger_one_extends_a_smaller(data: Path) -> None:
    whole = ids(plan(data))
    before: set[str] = set()
    for n in range(1, len(CASES) + 1):
        made = plan(data, limit=Limit(n))
        taken = ids(made)
        clusters = Counter(name[:8] for name in taken)
        assert len(clusters) == n
        assert all(count == CASES[int(name[4:])] for name, count in clusters.items())
        assert before < set(taken)
        assert taken == [name for name in whole if name in set(taken)]
        assert made.n_samples == len(taken)
        before = set(taken)
    assert ids(plan(data, limit=Limit(99))) == whole


def test_limit_does_not_depend_on_the_order_of_rows(data: Path, tmp_path: Path) -> None:
    other = make_set(tmp_path / "set", CASES)
    table = pq.read_table(other / "data" / "nova-v1.parquet")
    pq.write_table(table.take(list(reversed(range(len(table))))), other / "data" / "nova-v1.parquet")
    assert ids(plan(other)) == ids(plan(data))[::-1]
    assert set(ids(plan(other, limit=Limit(3)))) == set(ids(plan(data, limit=Limit(3))))


def test_another_seed_takes_other_clusters(data: Path) -> None:
    assert len({frozenset(ids(plan(data, limit=Limit(3, seed)))) for seed in range(6)}) > 1


def test_request_has_a_hash_of_prompt_parameters_and_picture(data: Path) -> None:
    def hashes(made: Plan) -> list[bytes]:
        return [made.hash(request) for sample in made.samples() for request in made.requests(sample)]  # type: ignore[arg-type]

    base = hashes(plan(data))
    assert len(set(base)) == len(base) == sum(CASES)
    assert hashes(plan(data)) == base
    for changed in (
        plan(data, params=GenParams(temperature=0.5)),
        plan(data, variant={"image": "shuffled"}),
        plan(data, variant={"image": "none"}),
    ):
        # Sample by sample: a shuffled picture belongs to another sample, whose own request is the same.
        assert all(new != old for new, old in zip(hashes(changed), base, strict=True))


def test_repeats_differ_in_id_and_seed_alone(data: Path) -> None:
    made = plan(data, repeats=3, params=GenParams(seed=5, temperature=1.0))
    sample = next(iter(made.samples()))
    first, second, third = made.requests(sample)  # type: ignore[arg-type]
    assert [request.id for request in (first, second, third)] == [
        sample.id,
        f"{sample.id}#1",
        f"{sample.id}#2",
    ]
    assert [request.params.seed for request in (first, second, third)] == [5, 6, 7]
    assert first.parts == second.parts == third.parts
    assert {request.params.temperature for request in (first, second, third)} == {1.0}
    alone = plan(data, params=GenParams(seed=5, temperature=1.0))
    assert alone.hash(next(iter(alone.requests(sample)))) == made.hash(first)  # type: ignore[arg-type]


def test_repeats_without_a_seed_stay_without(data: Path) -> None:
    made = plan(data, repeats=2, params=GenParams(temperature=1.0))
    sample = next(iter(made.samples()))
    assert [request.params.seed for request in made.requests(sample)] == [None, None]  # type: ignore[arg-type]


def test_repeats_and_limit_below_one_are_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="repeats is 0"):
        plan(data, repeats=0)
    with pytest.raises(UsageError, match="limit is 0"):
        plan(data, limit=Limit(0))


def test_shuffled_pictures_are_those_of_the_whole_set_under_a_limit(data: Path) -> None:
    def shown(made: Plan) -> dict[str, str]:
        return {sample.id: made.shown_image(sample)[0].name for sample in made.samples()}  # type: ignore[arg-type]

    whole = shown(plan(data, variant={"image": "shuffled"}))
    few = shown(plan(data, variant={"image": "shuffled"}, limit=Limit(2)))
    assert few.items() < whole.items()
    own = {sample.id: sample.images[0].name for sample in plan(data).samples()}  # type: ignore[union-attr]
    assert sorted(whole.values()) == sorted(own.values())


def make_samples(sizes: list[int]) -> list[Sample]:
    return [
        Sample(f"{cluster}-{i}", (Image(data=b"", name=f"{cluster}-{i}"),), {}, None, str(cluster), {})
        for cluster, size in enumerate(sizes)
        for i in range(size)
    ]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=12))
def test_shuffle_is_a_permutation_that_never_stays_in_the_cluster(sizes: list[int]) -> None:
    samples = make_samples(sizes)
    if 2 * max(sizes) > sum(sizes):
        with pytest.raises(UsageError, match="needs images of other cases"):
            shuffle_images(samples)
        return
    given_images = shuffle_images(samples)
    assert sorted(image.name for image in given_images.values()) == sorted(given_images)
    assert all(name.split("-")[0] != image.name.split("-")[0] for name, image in given_images.items())
    again = shuffle_images(reversed(samples))
    assert {name: image.name for name, image in again.items()} == {
        name: image.name for name, image in given_images.items()
    }


def test_samples_without_pictures_take_no_part_in_the_shuffle() -> None:
    blind = Sample("blind", (), {}, None, "9", {})
    assert set(shuffle_images([*make_samples([1, 1]), blind])) == {"0-0", "1-0"}
    assert shuffle_images([blind]) == {}
