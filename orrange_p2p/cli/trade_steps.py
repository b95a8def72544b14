"""`orrange trade paid|confirm|cancel|dispute|resolve`: the steps of a trade by escrow, signed by whoever takes them.

They need the chain and a key, and no running node: an arbitrator has none. With a node, the beginning of a ticket is
enough to name it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orrange_p2p.cli.escrow_place import Place, find_place, market_of, on_chain
from orrange_p2p.cli.escrow_words import STATES, base_text, describe, parse_split, quote_text, time_text
from orrange_p2p.cli.options import AsJson, examples
from orrange_p2p.cli.output import print_json, print_pairs
from orrange_p2p.cli.trade import Ticket
from orrange_p2p.cli.trade import app as app  # the steps are commands of the same group
from orrange_p2p.errors import ConfigError

if TYPE_CHECKING:
    from orrange_p2p.chain.backend import Backend
    from orrange_p2p.config import MarketConfig
    from orrange_p2p.core.escrow import EscrowStep
    from orrange_p2p.launch.escrow_steps import EscrowCase, Split

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Your node's configuration, which names the network and its chain."),
]
Network = Annotated[
    str | None,
    typer.Option("--network", metavar="NAME", help="Without a node: a network's name, or its file (*.toml)."),
]
RpcUrl = Annotated[
    str | None,
    typer.Option("--rpc-url", metavar="URL", envvar="ORRANGE_RPC_URL", help="JSON-RPC of the chain, if another one."),
]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Your key file; without one, ask for a secret key.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Read the key file's passphrase from the first line."),
]
IsSure = Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask first.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A step that somebody wants to take, and what is asked about it first; None where nothing is."""

    step: "EscrowStep"
    question: "Callable[[EscrowCase, MarketConfig | None], str | None]"
    split: "Split | None" = None


@app.command(
    "escrow",
    epilog=examples(
        ("orrange trade escrow 0x3f9ac2d1b0 --config alice/node.toml", "whose turn it is, and until when"),
        ("orrange trade escrow 0x3f9a... --network sepolia --json", "without a node, by the whole ticket"),
    ),
)
def show_escrow(
    ticket: Ticket, config: Config = None, network: Network = None, rpc_url: RpcUrl = None, as_json: AsJson = False
) -> None:
    """Show where a trade by escrow stands on the chain, whose turn it is, and what a cancel would cost."""
    place = find_place(config, network, rpc_url)
    case = on_chain(place, ticket)
    if as_json:
        print_json(describe(case))
        return
    market, trade, ends_s = market_of(place, case), case.trade, case.turn_ends_s()
    pairs = {
        "ticket": f"0x{trade.ticket.hex()}",
        "state": STATES[case.record.state.name.lower()],
        "since": time_text(case.record.since_s),
        "until": "" if ends_s is None else time_text(ends_s),
        "held": base_text(trade, market),
        "bond of each": quote_text(trade.bond_amount, trade, market),
        "seller": f"0x{trade.seller.hex()}",
        "buyer": f"0x{trade.buyer.hex()}",
        "arbitrator": f"0x{trade.arbitrator.hex()}",
    }
    if case.record.state.name in ("OPEN", "PAID"):
        pairs["a cancel costs"] = f"the buyer {quote_text(case.penalty(), case.trade, market)}"
    print_pairs({name: value for name, value in pairs.items() if value})


@app.command(
    "paid",
    epilog=examples(
        ("orrange trade paid 0x3f9ac2d1b0 --config bob/node.toml --key bob.json", "once the money is on its way")
    ),
)
def say_paid(
    ticket: Ticket,
    config: Config = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """As the buyer, say on the chain that you have paid; from then on it is the seller's turn."""
    from orrange_p2p.core.escrow import EscrowStep

    wish = Wish(step=EscrowStep.MARK_PAID, question=_nothing)
    _take(wish, ticket, find_place(config, network, rpc_url), key, passphrase_file, is_sure=True, as_json=as_json)


@app.command(
    "confirm",
    epilog=examples(
        ("orrange trade confirm 0x3f9ac2d1b0 --config alice/node.toml --key alice.json", "once the money is there")
    ),
)
def confirm(
    ticket: Ticket,
    config: Config = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    is_sure: IsSure = False,
    as_json: AsJson = False,
) -> None:
    """As the seller, confirm that you were paid: the buyer gets the base, both get their bonds. Nobody can undo it."""
    from orrange_p2p.core.escrow import EscrowStep

    wish = Wish(
        step=EscrowStep.RELEASE,
        question=lambda case, market: f"Give {base_text(case.trade, market)} to 0x{case.trade.buyer.hex()} for good?",
    )
    _take(wish, ticket, find_place(config, network, rpc_url), key, passphrase_file, is_sure=is_sure, as_json=as_json)


@app.command(
    "cancel",
    epilog=examples(
        ("orrange trade cancel 0x3f9ac2d1b0 --config bob/node.toml --key bob.json", "says what it costs, and asks"),
    ),
)
def cancel(
    ticket: Ticket,
    config: Config = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    is_sure: IsSure = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a trade: the seller gets the base back.

    The buyer may at any time before a dispute, and pays for it with a part of the bond except at the very beginning.

    Anybody may once the buyer's time to pay is over.
    """
    from orrange_p2p.core.escrow import EscrowStep

    wish = Wish(step=EscrowStep.CANCEL, question=_ask_cancel)
    _take(wish, ticket, find_place(config, network, rpc_url), key, passphrase_file, is_sure=is_sure, as_json=as_json)


@app.command(
    "dispute",
    epilog=examples(
        ("orrange trade dispute 0x3f9ac2d1b0 --config alice/node.toml --key alice.json", "no money came"),
    ),
)
def dispute(
    ticket: Ticket,
    config: Config = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """As the seller, say that you were not paid; the arbitrator decides. As the buyer once the seller was silent."""
    from orrange_p2p.core.escrow import EscrowStep

    wish = Wish(step=EscrowStep.DISPUTE, question=_nothing)
    _take(wish, ticket, find_place(config, network, rpc_url), key, passphrase_file, is_sure=True, as_json=as_json)


@app.command(
    "resolve",
    epilog=examples(
        (
            "orrange trade resolve 0x3f9a... --base-to-seller 0 --bonds-to-seller 0 --network sepolia --key me.json",
            "the buyer was right: base and both bonds are its",
        ),
        ("orrange trade resolve 0x3f9a... --by-default --network sepolia --key me.json", "nobody decided in time"),
    ),
)
def resolve(
    ticket: Ticket,
    base_to_seller: Annotated[
        str | None, typer.Option("--base-to-seller", metavar="PERCENT", help="The seller's part of the base.")
    ] = None,
    bonds_to_seller: Annotated[
        str | None,
        typer.Option(
            "--bonds-to-seller", metavar="PERCENT", help="The seller's part of both bonds; 50 leaves each its own."
        ),
    ] = None,
    by_default: Annotated[
        bool, typer.Option("--by-default", metavar="", help="Anybody, once the arbitrator's time is over: in half.")
    ] = False,
    config: Config = None,
    network: Network = None,
    rpc_url: RpcUrl = None,
    key: Key = None,
    passphrase_file: PassphraseFile = None,
    is_sure: IsSure = False,
    as_json: AsJson = False,
) -> None:
    """As the arbitrator of a disputed trade, split its base and both bonds between seller and buyer."""
    from orrange_p2p.core.escrow import EscrowStep

    is_split = base_to_seller is not None and bonds_to_seller is not None
    if is_split == by_default or (by_default and (base_to_seller or bonds_to_seller)):
        raise typer.BadParameter(
            "expected both parts of the seller, or --by-default alone", param_hint="--base-to-seller"
        )
    split = parse_split(base_to_seller or "", bonds_to_seller or "") if is_split else None
    step = EscrowStep.RESOLVE_BY_DEFAULT if split is None else EscrowStep.RESOLVE
    wish = Wish(step=step, question=lambda case, market: _ask_resolve(case, market, split), split=split)
    _take(wish, ticket, find_place(config, network, rpc_url), key, passphrase_file, is_sure=is_sure, as_json=as_json)


def _take(
    wish: Wish, text: str, place: Place, key: Path | None, passphrase: Path | None, *, is_sure: bool, as_json: bool
) -> None:
    """Look, ask, send, wait, tell."""
    from orrange_p2p.cli.keys import read_key

    signer = read_key(key, passphrase)
    sent: list[str] = []

    def tell(digest: bytes) -> None:
        sent.append(f"0x{digest.hex()}")
        if not as_json:
            typer.echo(f"sent {sent[-1]}, waiting for a block", err=True)

    async def work(backend: "Backend", case: "EscrowCase") -> "EscrowCase":
        from orrange_p2p.launch.escrow_steps import check_open, take_step

        check_open(case, signer.address, wish.step)
        question = wish.question(case, market_of(place, case))
        if question is not None and not is_sure:
            _ask(question)
        return await take_step(backend, case, signer, wish.step, split=wish.split, on_sent=tell)

    case = on_chain(place, text, work)
    if as_json:
        print_json({**describe(case), "transaction": sent[-1]})
        return
    ends_s = case.turn_ends_s()
    until = "" if ends_s is None else f", until {time_text(ends_s)}"
    typer.echo(f"0x{case.trade.ticket.hex()} is {STATES[case.record.state.name.lower()]}{until}")


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError(f"expected --yes, or a terminal to ask at, was neither: {question}")
    typer.confirm(question, abort=True, err=True)


def _nothing(_case: "EscrowCase", _market: "MarketConfig | None") -> None:
    return None


def _ask_cancel(case: "EscrowCase", market: "MarketConfig | None") -> str:
    return f"Cancel? It costs the buyer {quote_text(case.penalty(), case.trade, market)} of its bond."


def _ask_resolve(case: "EscrowCase", market: "MarketConfig | None", split: "Split | None") -> str:
    if split is None:
        return f"Split {base_text(case.trade, market)} in half, and give each side its bond?"
    base, bonds = Decimal(split.seller_base_bps) / 100, Decimal(split.seller_bonds_bps) / 100
    return (
        f"Give the seller {base}% of {base_text(case.trade, market)} and {bonds}% of both bonds, each "
        f"{quote_text(case.trade.bond_amount, case.trade, market)}, and the buyer the rest?"
    )
