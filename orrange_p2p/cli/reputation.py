"""`orrange reputation`: what an owner's score is, and why."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from orrange_p2p.api.client import call_node
from orrange_p2p.cli.options import AsJson, ConfigFile, DataDir, MarketName, Socket, examples, find_socket
from orrange_p2p.cli.output import console, print_json, print_pairs, rows_table, short_id

EPILOG = examples(
    ("orrange reputation --data-dir alice", "the node's own owner"),
    ("orrange reputation 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --json --data-dir alice", "anybody"),
)
MICRO_UNITS = 1_000_000


def reputation_command(
    owner: Annotated[str | None, typer.Argument(help="An owner's address; without one the node's own owner.")] = None,
    market: MarketName = None,
    data_dir: DataDir = None,
    socket: Socket = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show an owner's tier and score, and the facts on the chain behind them."""
    params: dict[str, Any] = {name: value for name, value in (("owner", owner), ("market", market)) if value}
    answer = call_node(find_socket(data_dir, socket, config), "reputation", params)
    if as_json:
        print_json(answer)
        return
    print_pairs(_summary(answer))
    if answer["vouches"]:
        rows = [
            (short_id(one["counterparty"]), str(one["trades"]), *(units(one[name]) for name in _VOUCH))
            for one in answer["vouches"]
        ]
        columns = ("counterparty", ">trades", ">fees paid", ">left of them", ">its bond", ">counts")
        console().print(rows_table(columns, rows, title="who vouches: fees decay, and count up to a quarter of a bond"))
    if answer["offences"]:
        rows = [
            (one["offence"], units(one["amount"]), f"{one['age_days']} days", units(one["counted"]))
            for one in answer["offences"]
        ]
        console().print(rows_table(("offence", ">amount", ">age", ">counts"), rows, title="what counts against it"))


_VOUCH = ("paid", "fees", "bond", "counted")


def _summary(answer: Mapping[str, Any]) -> dict[str, str]:
    anchor = answer["anchor"]
    score = f"{units(answer['score'])} fee units" + (f" ({answer['why']})" if answer["why"] else "")
    return {
        "owner": answer["owner"],
        "tier": f"{answer['tier']} of 3",
        "score": score,
        "good": f"{units(answer['good'])}: {units(answer['gathered'])} vouched for by as many as "
        f"{answer['counterparties']} equal counterparties, and {units(answer['bond'])} of bond",
        "bad": units(answer["bad"]),
        "as of": "no block yet: everybody stands at 0" if anchor is None else f"block {anchor['block']}",
    }


def units(micro: int) -> str:
    """Micro-units as whole units with up to six decimals."""
    whole, rest = divmod(micro, MICRO_UNITS)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
