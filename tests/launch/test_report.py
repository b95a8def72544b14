"""A report says that all is well only if all is well, and else what is not."""

from dataclasses import replace

import pytest

from orrange_p2p.core.presets import PRESETS
from orrange_p2p.launch.report import Latency, Report, measure_latency

GOOD = Report(
    peers=3,
    orders=9,
    cancels=1,
    refused=0,
    skipped=0,
    entries=7,
    tickets=2,
    by_path={"equal": 2, "reconciled": 0, "fallback": 0},
    settled=2,
    unsettled=0,
    books_equal=True,
    tickets_equal=True,
    value_conserved=True,
    order_to_ticket_ms=Latency(p50=1, p99=2),
    ticket_to_chain_ms=Latency(p50=1, p99=2),
    gossip_drops=0,
    duration_s=5,
    preset=PRESETS["demo"],
    book_digest="00",
)


def test_a_good_run_says_so_in_one_line() -> None:
    assert GOOD.is_good
    assert GOOD.summary().startswith("3 peers agreed on one book: 9 orders became 2 trades")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"books_equal": False}, "books differ"),
        ({"tickets_equal": False}, "tickets differ"),
        ({"value_conserved": False}, "do not add up"),
        ({"unsettled": 1, "settled": 1}, "1 trades did not settle"),
        ({"settled": 3}, "1 settled trades are nobody's ticket"),
        ({"peers_gone": (1,)}, "[1] did not answer"),
    ],
)
def test_whatever_is_wrong_is_said_and_makes_the_run_bad(change: dict[str, object], says: str) -> None:
    report = replace(GOOD, **change)
    assert not report.is_good
    assert says in report.summary()


def test_percentiles_are_nearest_ranks() -> None:
    assert measure_latency([]) == Latency(p50=None, p99=None)
    assert measure_latency([7]) == Latency(p50=7, p99=7)
    assert measure_latency(range(1, 101)) == Latency(p50=50, p99=99)
