"""Limits stop a run resumable, within what was in flight; accounts add up; a price is never guessed."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Plan as ServerPlan
from loopback import serve
from running import final_ids, log_of, make_set, nova, settings

import nova_bench as nb
from nova_bench.budget import Ledger
from nova_bench.errors import LimitReachedError, UsageError
from nova_bench.prices import SHIPPED, Price, find_price, price_files, read_prices

N = 40
CONCURRENCY = 4
PRICES = '[models."openai:tiny"]\ninput = 10000\ncached_input = 5000\noutput = 20000\ndate = 2026-01-31\n'
ANSWER_USD = 0.25
"""What one answer of the loopback server costs at these prices: 11 tokens in, 7 out."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("budget") / "set", [2] * (N // 2))


def words(data: Path, url: str, out: Path, *more: str | Path) -> list[str | Path]:
    pytest.importorskip("openai")
    return [
        *("run", "nova_localization", "--data", data, "--model", "openai:tiny", "-o", f"base_url={url}"),
        *("--concurrency", str(CONCURRENCY), "--out", out, *more),
    ]


def price_file(folder: Path, text: str = PRICES) -> Path:
    path = folder / "my_prices.toml"
    path.write_text(text)
    return path


class Counted:
    """An adapter that answers with token counts, `window` requests in flight at a time; None answers without."""

    def __init__(self, usages: Iterator[nb.Usage | None], window: int = 1) -> None:
        self.usages, self.window, self.asked = usages, window, 0

    def generate(self, requests: Iterator[nb.Request]) -> Iterator[nb.Response]:
        stream = iter(requests)
        while batch := list(itertools.islice(stream, self.window)):
            self.asked += len(batch)
            for request in batch:
                yield nb.Response(request.id, "[]", usage=next(self.usages), seconds=0.5)


def run(home: Path, data: Path, model: Any, **more: Any) -> nb.Run:
    return nb.evaluate(
        "nova_localization", model, data=str(data), out=home / "out", settings=settings(home), **more
    )


def tokens(given: int, made: int) -> Iterator[nb.Usage | None]:
    return itertools.repeat(nb.Usage(input_tokens=given, output_tokens=made))


# Through the command line, with the vendor's client


def test_max_cost_stops_within_one_window_and_a_higher_limit_goes_on(tmp_path: Path, data: Path) -> None:
    prices, out = price_file(tmp_path), tmp_path / "out"
    with serve() as (url, _):
        calm = nova(tmp_path, *words(data, url, tmp_path / "calm"))
        assert calm.returncode == 0, calm.stderr
    with serve(ServerPlan(latency=0.01)) as (url, server):
        limited = nova(tmp_path, *words(data, url, out, "--prices", prices, "--max-cost", "2.5"))
        assert limited.returncode == 1
        paid = server.stats.answered.total()
        assert 10 <= paid < 10 + CONCURRENCY
        assert len(final_ids(out)) == paid  # what was in flight arrived
        assert f"--max-cost 2.5 is reached: {paid * ANSWER_USD:g} USD, {paid * 18:,} tokens" in limited.stderr
        assert "The same command with a higher --max-cost goes on" in limited.stderr
        assert "Traceback" not in limited.stderr

        same = nova(tmp_path, *words(data, url, out, "--prices", prices, "--max-cost", "2.5"))
        assert (same.returncode, server.stats.answered.total()) == (
            1,
            paid,
        )  # spent is of the run, not of the start

        more = nova(tmp_path, *words(data, url, out, "--prices", prices, "--max-cost", "5"))
        assert more.returncode == 1
        assert 20 <= server.stats.answered.total() < 20 + CONCURRENCY

        rest = nova(tmp_path, *words(data, url, out, "--prices", prices, "--max-cost", "50"))
        assert rest.returncode == 0, rest.stderr
        assert server.stats.answered.total() == len(final_ids(out)) == N  # nothing was paid twice
        assert f"{N} requests, {11 * N} input tokens" in rest.stderr
        assert f"{N * ANSWER_USD:g} USD" in rest.stderr
    assert (out / "report.json").read_bytes() == (tmp_path / "calm" / "report.json").read_bytes()
    report = nova(tmp_path, "report", out, "--json")
    (made,) = json.loads(report.stdout)["runs"]
    account = made["usage"]["model"]
    assert account["cost_usd"] == N * ANSWER_USD  # the manifest remembers the price
    assert account["tokens"] == {
        "input": 11 * N, "cached": 0, "output": 7 * N, "reasoning": 0, "total": 18 * N,
    }  # fmt: skip
    assert account["price"]["date"] == "2026-01-31"


def test_max_total_tokens_is_of_all_tasks_of_the_command(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        command = words(data, url, tmp_path / "out", "--max-total-tokens", str(18 * (N + 5)))
        command.insert(2, "nova_diagnosis")
        limited = nova(tmp_path, *command)
        assert limited.returncode == 1, limited.stderr
        assert N + 5 <= server.stats.answered.total() < N + 5 + CONCURRENCY
    assert "nova_diagnosis" in limited.stderr.partition("--max-total-tokens")[0]
    assert len(final_ids(tmp_path / "out" / "nova_localization")) == N


def test_failed_calls_are_not_counted_as_answers(tmp_path: Path, data: Path) -> None:
    with serve(ServerPlan(faults={"503": 0.3}, retry_after="0.01")) as (url, server):
        done = nova(tmp_path, *words(data, url, tmp_path / "out", "--max-total-tokens", str(18 * N + 1)))
        assert done.returncode == 0, done.stderr
        assert server.stats.faults.total() > 0


def test_max_cost_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path, data: Path) -> None:
    with serve() as (url, server):
        refused = nova(tmp_path, *words(data, url, tmp_path / "out", "--max-cost", "1"))
        assert refused.returncode == 2
        assert server.stats.calls == 0
    assert '[models."openai:tiny"]' in refused.stderr
    assert "prices.toml" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_users_own_price_file_is_found_in_the_configuration_folder(tmp_path: Path, data: Path) -> None:
    own = tmp_path / "config" / "nova_bench" / "prices.toml"
    own.parent.mkdir(parents=True)
    own.write_text(PRICES)
    with serve() as (url, _):
        done = nova(tmp_path, *words(data, url, tmp_path / "out", "--limit", "2"))
    assert f"{4 * ANSWER_USD:g} USD" in done.stderr


def test_server_without_token_counts_does_not_pass_for_free(tmp_path: Path, data: Path) -> None:
    with serve(ServerPlan(usage=None, latency=0.01)) as (url, server):
        limited = nova(tmp_path, *words(data, url, tmp_path / "out", "--max-total-tokens", "1000000"))
        assert limited.returncode == 1
        assert server.stats.answered.total() <= 2 * CONCURRENCY
    assert "without token counts" in limited.stderr


@pytest.mark.parametrize(
    "flag", [("--max-cost", "0"), ("--max-cost", "nan"), ("--max-total-tokens", "-1"), ("--max-hours", "inf")]
)
def test_limit_that_is_no_positive_number_is_refused(
    tmp_path: Path, data: Path, flag: tuple[str, str]
) -> None:
    refused = nova(tmp_path, *words(data, "http://localhost:1/v1", tmp_path / "out", *flag))
    assert refused.returncode == 2
    assert flag[0] in refused.stderr


# From Python


def test_limit_counts_what_earlier_starts_and_older_prompts_cost(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, Counted(tokens(90, 10)), limit=5)
    log = tmp_path / "out" / "responses.jsonl"
    old = json.loads(log.read_text().splitlines()[0])
    with log.open("a") as file:  # an answer to another prompt counts for nothing, and has cost as much
        file.write(json.dumps({**old, "request": "00" * 32}) + "\n")
    model = Counted(tokens(90, 10))
    limited = run(tmp_path, data, model, budget=nb.Budget(max_total_tokens=1200))
    assert model.asked == 1
    assert isinstance(limited.progress.error, LimitReachedError)
    assert limited.usage()["model"]["tokens"]["total"] == 1200


def test_complete_run_over_its_limit_is_complete(tmp_path: Path, data: Path) -> None:
    run(tmp_path, data, Counted(tokens(90, 10)))
    again = run(tmp_path, data, Counted(tokens(90, 10)), budget=nb.Budget(max_total_tokens=1))
    assert again.progress.error is None
    assert again.is_complete


@pytest.mark.parametrize("window", [1, 7])
def test_limit_is_passed_by_what_was_in_flight_at_most(tmp_path: Path, data: Path, window: int) -> None:
    model = Counted(tokens(60, 40), window)
    run(tmp_path, data, model, budget=nb.Budget(max_total_tokens=1000))
    assert 10 <= model.asked < 10 + window


def test_one_budget_limits_several_runs_together(tmp_path: Path, data: Path) -> None:
    budget = nb.Budget(max_total_tokens=100 * N + 500)
    first, second = Counted(tokens(90, 10)), Counted(tokens(90, 10))
    run(tmp_path / "a", data, first, budget=budget)
    stopped = run(tmp_path / "b", data, second, budget=budget)
    assert (first.asked, second.asked) == (N, 5)
    assert "earlier starts included" in str(stopped.progress.error)


def test_max_hours_ends_the_run_and_the_same_call_goes_on(tmp_path: Path, data: Path) -> None:
    limited = run(tmp_path, data, Counted(tokens(9, 1)), budget=nb.Budget(max_hours=1e-12))
    assert isinstance(limited.progress.error, LimitReachedError)
    assert "--max-hours" in str(limited.progress.error)
    assert len(log_of(tmp_path / "out")) == 0
    done = run(tmp_path, data, Counted(tokens(9, 1)), budget=nb.Budget(max_hours=100))
    assert done.progress.error is None
    assert done.is_complete


def test_answer_without_counts_is_taken_for_the_largest(tmp_path: Path, data: Path) -> None:
    usages = itertools.chain([nb.Usage(60, 40), nb.Usage(10, 10), None], tokens(10, 10))
    model = Counted(usages)
    limited = run(tmp_path, data, model, budget=nb.Budget(max_total_tokens=300))
    assert model.asked == 3 + 4  # 100 + 20 + (100) + 4 * 20
    assert "taken for the largest: 300" in str(limited.progress.error)
    account = limited.usage()["model"]
    assert (account["without_counts"], account["tokens"]["total"]) == (1, 200)


def test_cost_is_none_with_the_reason_where_it_is_not_known(tmp_path: Path, data: Path) -> None:
    account = run(tmp_path, data, Counted(tokens(9, 1)), limit=2).usage()["model"]
    assert account["cost_usd"] is None
    assert "no price is known for 'Counted'" in account["cost_note"]
    priced = price_file(tmp_path, PRICES.replace("openai:tiny", "Counted"))
    usages = itertools.chain([None], tokens(9, 1))
    account = run(tmp_path / "b", data, Counted(usages), limit=2, prices=priced).usage()["model"]
    assert account["cost_usd"] is None
    assert "1 answers came without token counts; the others cost 0.33" in account["cost_note"]


def test_usage_has_every_kind_and_survives_a_rescore(tmp_path: Path, data: Path) -> None:
    usage = nb.Usage(input_tokens=100, output_tokens=20, reasoning_tokens=12, cached_tokens=64)
    made = run(tmp_path, data, Counted(itertools.repeat(usage)), limit=2)
    account = made.usage()["model"]
    assert account["tokens"] == {"input": 400, "cached": 256, "output": 80, "reasoning": 48, "total": 480}
    assert (account["requests"], account["failed"], account["seconds"]) == (4, 0, 2.0)
    made.report(fresh=True)
    assert made.usage()["model"] == account


# Prices


def test_cached_tokens_cost_less_and_are_part_of_the_input() -> None:
    price = Price(2.0, 8.0, 0.5, "2026-01-31", "f")
    assert price.cost(input_tokens=1000, cached_tokens=400, output_tokens=100) == pytest.approx(
        (600 * 2 + 400 * 0.5 + 100 * 8) / 1e6
    )
    plain = Price(2.0, 8.0, None, "2026-01-31", "f")
    assert plain.cost(input_tokens=1000, cached_tokens=400, output_tokens=0) == pytest.approx(0.002)


def test_filtered_answer_without_counts_is_not_taken_for_a_paid_one() -> None:
    ledger = Ledger()
    ledger.add({"finish": "filter"})
    ledger.add({"finish": "rejected", "error": "too long"})
    ledger.add({"finish": "error", "error": "503"})
    assert (ledger.answers, ledger.failed, ledger.uncounted, ledger.is_blind) == (2, 1, 0, False)
    ledger.add({"finish": "length", "text": "a"})
    assert ledger.is_blind


def test_shipped_price_file_has_the_form_that_it_explains(tmp_path: Path) -> None:
    assert all(math.isfinite(price.output) for price in read_prices(SHIPPED).values())
    example = "\n".join(
        line.removeprefix("#") for line in SHIPPED.read_text().splitlines() if line.startswith("#     ")
    )
    (price,) = read_prices(price_file(tmp_path, example)).values()
    assert (price.input, price.cached_input, price.output, price.date) == (1.25, 0.125, 10.0, "2026-01-31")


def test_first_file_that_names_a_model_counts(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "prices.toml").write_text(PRICES)
    mine = price_file(tmp_path, PRICES.replace("10000", "1"))
    found = find_price("openai:tiny", price_files(config, mine))
    assert found is not None
    assert (found.input, found.origin) == (1.0, str(mine))
    assert find_price("openai:tiny-2026", price_files(config, mine)) is None  # never the next best name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models", "not TOML"),
        ("[prices]\na = 1", "nothing else"),
        ("[models.m]\ninput = 1\ndate = 2026-01-31", "takes input, output, date"),
        ("[models.m]\ninput = 1\noutput = 1\nouptut = 1\ndate = 2026-01-31", "takes input, output, date"),
        ("[models.m]\ninput = -1\noutput = 1\ndate = 2026-01-31", "input = -1"),
        ("[models.m]\ninput = nan\noutput = 1\ndate = 2026-01-31", "input = nan"),
        ('[models.m]\ninput = "1"\noutput = 1\ndate = 2026-01-31', "input = '1'"),
        ("[models.m]\ninput = 1\noutput = 1\ndate = 'soon'", "date = 'soon'"),
        ("[models.gpt-x.y]\ninput = 1\noutput = 1\ndate = 2026-01-31", "stands in"),
    ],
)
def test_price_file_of_another_form_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_prices(price_file(tmp_path, text))


def test_missing_price_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        find_price("m", price_files(tmp_path, tmp_path / "none.toml"))
