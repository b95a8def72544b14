"""The live view fits a terminal of 80 columns and 24 lines, and says who agrees."""

import io

import pytest
from rich.console import Console

from orrange_p2p.cli.units import MarketUnits
from orrange_p2p.cli.view import Level, Match, PeerRow, Snapshot, render_line, render_screen

UNITS = MarketUnits.from_answer(
    "BTC-USD", {"lot_size": 100_000, "tick_size": 10, "base_decimals": 8, "quote_decimals": 6}
)


def _snapshot(peers: int, *, differing: int = 0) -> Snapshot:
    rows = tuple(
        PeerRow(
            name=f"peer-{number}",
            links=peers - 1,
            entries=12_345,
            orders=1_234,
            trades=5_678,
            digest=("bb" if number < differing else "aa") * 32,
        )
        for number in range(peers)
    )
    return Snapshot(
        title="orrange demo, 5 peers, one chain",
        stage="comparing every peer's state with the chain",
        elapsed_s=1_234,
        sent_events=399,
        all_events=12_345,
        units=UNITS,
        epoch=1_234,
        bids=tuple(Level(price_ticks=2_356_200 - number, lots=9_876_543) for number in range(50)),
        asks=tuple(Level(price_ticks=2_356_300 + number, lots=1) for number in range(3)),
        matches=tuple(
            Match(epoch=1_234, price_ticks=2_356_250, lots=1_000_000, is_settled=number > 3) for number in range(40)
        ),
        peers=rows,
        trades=5_678,
        settled=5_670,
        gossip_drops=0,
    )


def _render(snapshot: Snapshot, *, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(render_screen(snapshot, height))
    return capture.get().splitlines()


@pytest.mark.parametrize("peers", [0, 1, 2, 5, 20])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_the_screen_fits(peers: int, width: int, height: int) -> None:
    lines = _render(_snapshot(peers), width=width, height=height)
    assert len(lines) < height
    assert all(len(line.rstrip()) <= width for line in lines)
    assert not any("…" in line for line in lines)


def test_the_screen_shows_stage_book_trades_peers_and_agreement() -> None:
    text = "\n".join(_render(_snapshot(5)))
    for part in ("comparing every peer's state", "23562.00", "23563.00", "23562.50", "1000.000", "peer-4", "agreed"):
        assert part in text
    assert "5 of 5 peers hold book aaaaaaaa of epoch 1234" in text
    assert "5678 trades: 5670 settled on the chain, 8 on their way; 0 gossip dropped" in text


def test_peers_that_do_not_fit_are_counted() -> None:
    text = "\n".join(_render(_snapshot(20)))
    shown = sum(f"peer-{number} " in text for number in range(20))
    assert f"and {20 - shown} more" in text


def test_disagreement_is_counted_not_hidden() -> None:
    snapshot = _snapshot(5, differing=2)
    assert "3 of 5 peers hold book aaaaaaaa" in "\n".join(_render(snapshot))
    assert "3 of 5 peers hold book aaaaaaaa" in render_line(snapshot)


def test_before_there_is_a_book_the_screen_is_the_head_alone() -> None:
    early = Snapshot(title="orrange demo", stage="starting", elapsed_s=0, sent_events=0, all_events=10)
    assert len(_render(early)) == 2
    assert render_line(early) == "   0 s  starting"


def test_a_line_of_progress_says_how_far_and_who_agrees() -> None:
    line = render_line(_snapshot(5))
    assert "399/12345 events, 5678 trades, 5670 settled" in line
    assert line.endswith("5 of 5 peers hold book aaaaaaaa of epoch 1234")
    assert "\n" not in line
