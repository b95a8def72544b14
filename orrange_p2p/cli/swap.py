"""`orrange swap`: swap between two chains with one counterparty, whom nobody needs to trust."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrange_p2p.cli.failure import FAILED, INTERRUPTED, Ending
from orrange_p2p.cli.options import AsJson, examples
from orrange_p2p.cli.output import print_json, print_pairs
from orrange_p2p.errors import ConfigError

if TYPE_CHECKING:
    from orrange_p2p.chain.swap_runner import SwapStep
    from orrange_p2p.core.swap_terms import Leg
    from orrange_p2p.core.swaps import SwapRecord
    from orrange_p2p.core.types import Digest
    from orrange_p2p.launch.swap_home import SwapHome

app = typer.Typer(
    name="swap",
    help="Swap between two chains: each side locks what it gives, and either both get theirs or both get it back.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_DIGEST_BYTES = 32
_DRAFT = (
    "A draft is TOML: initiator, participant (accounts, the same on both chains), lasts_s, margin_s, and two tables, "
    "\\[first] for what the initiator gives and \\[second] for what the participant gives, each with chain_id, "
    "contract (OrrangeSwap there), token (or coin), amount (in its smallest units), confirmations and finality_s."
)
_OUTCOMES = {
    "completed": "completed: you have what the other side gave",
    "refunded": "refunded: you have your own back",
    "abandoned": "abandoned: it was too late to lock, and nothing of yours was",
    "lost": "lost: the other side has both; a chain was slower than its finality_s, or this side was away too long",
}

NewDir = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="Where to keep the swap; it must not exist.", show_default=False)
]
Home = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of a swap.", show_default=False)]


@app.callback()
def _swap() -> None:
    """Swap between two chains."""


@app.command(
    "new",
    epilog=examples(("orrange swap new draft.toml --dir swap", "then send swap/terms.json to the participant"))
    + "\n\n"
    + _DRAFT,
)
def new_command(
    draft: Annotated[Path, typer.Argument(metavar="DRAFT", help="What was agreed (*.toml).", show_default=False)],
    directory: NewDir,
    as_json: AsJson = False,
) -> None:
    """Begin a swap as its initiator: draw the secret, and write the terms that the participant needs.

    The directory keeps the secret, readable by you alone: whoever has it before your claim can take both locks.
    """
    from orrange_p2p.launch.swap import new_swap, wall_clock_s
    from orrange_p2p.launch.swap_terms import read_draft

    _show(new_swap(read_draft(draft), directory, now_s=wall_clock_s()), as_json=as_json)


@app.command(
    "join",
    epilog=examples(
        ("orrange swap join terms.json --dir swap --expect 0x…", "compares the terms with what you were told"),
    ),
)
def join_command(
    terms: Annotated[Path, typer.Argument(metavar="TERMS", help="The initiator's terms.json.", show_default=False)],
    directory: NewDir,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="HASH", help="The hash of the terms, as the initiator told it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a swap as its participant: check the terms, and see what you would give and get. Nothing is locked yet."""
    from orrange_p2p.launch.swap import join_swap, wall_clock_s
    from orrange_p2p.launch.swap_terms import read_terms

    expected = None if expect is None else _parse_digest(expect)
    _show(join_swap(read_terms(terms), directory, expected=expected, now_s=wall_clock_s()), as_json=as_json)


@app.command(
    "show",
    epilog=examples(("orrange swap show swap", "terms, hash and how far it came; never the secret")),
)
def show_command(directory: Home, as_json: AsJson = False) -> None:
    """Show a swap: its terms, their hash, and how far this side came."""
    from orrange_p2p.launch.swap_home import SwapHome

    _show(SwapHome(directory), as_json=as_json)


@app.command(
    "run",
    epilog=examples(
        ("orrange swap run swap --key owner.json --first-rpc URL --second-rpc URL", "asks for the passphrase"),
    ),
)
def run_command(
    directory: Home,
    first_rpc: Annotated[
        str, typer.Option("--first-rpc", metavar="URL", help="JSON-RPC of the first lock's chain.", show_default=False)
    ],
    second_rpc: Annotated[
        str, typer.Option("--second-rpc", metavar="URL", help="JSON-RPC of the second's.", show_default=False)
    ],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Your key file; without one, ask for a secret key."),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Read the key file's passphrase from the first line."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one JSON object a line: each step, then the outcome.")
    ] = False,
) -> None:
    """Carry out a swap until it has ended: lock, claim or take back, withdraw. This spends what the terms say.

    Ctrl-C, or a crash, loses nothing by itself; run the same command again at once, as deadlines do not wait. The
    account must send nothing else meanwhile. Exits with 0 only if the swap completed.
    """
    import trio

    from orrange_p2p.cli.keys import read_key
    from orrange_p2p.core.swap_terms import Leg
    from orrange_p2p.core.swaps import SwapOutcome
    from orrange_p2p.launch.swap import run_swap
    from orrange_p2p.launch.swap_home import SwapHome

    home = SwapHome(directory)
    record = home.load()
    signer = read_key(key, passphrase_file)
    urls = {Leg.FIRST: first_rpc, Leg.SECOND: second_rpc}

    async def run() -> SwapOutcome | None:
        return await run_swap(home, signer, urls, on_step=lambda step: _print_step(step, as_json=as_json))

    outcome = trio.run(run)
    if outcome is None:
        sentence = "interrupted: the swap is saved; run it again at once, its deadlines do not wait"
        Ending(as_json=as_json).tell(sentence, {"code": "interrupted", "message": "interrupted"})
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json({"outcome": outcome.value, "role": record.role.value, "terms": _digest(record)})
    else:
        typer.echo(_OUTCOMES[outcome.value])
    raise typer.Exit(0 if outcome is SwapOutcome.COMPLETED else FAILED)


def _parse_digest(text: str) -> "Digest":
    from orrange_p2p.core.types import Digest

    try:
        digest = Digest(bytes.fromhex(text.removeprefix("0x")))
    except ValueError:
        digest = Digest(b"")
    if len(digest) != _DIGEST_BYTES:
        raise ConfigError(f"expected a hash of 0x and 64 hex digits, was {text!r}")
    return digest


def _digest(record: "SwapRecord") -> str:
    from orrange_p2p.launch.swap_terms import SwapTermsFile

    return f"0x{SwapTermsFile.of(record.pact).digest().hex()}"


def _show(home: "SwapHome", *, as_json: bool) -> None:
    from orrange_p2p.launch.swap_terms import SwapTermsFile

    record = home.load()
    outcome = None if record.outcome is None else record.outcome.value
    if as_json:
        shown: dict[str, Any] = {
            "terms": _digest(record),
            "file": str(home.terms_path),
            "role": record.role.value,
            "has_locked": record.open_block is not None,
            "outcome": outcome,
        }
        print_json(shown | SwapTermsFile.of(record.pact).model_dump(mode="json"))
        return
    progress = "set out to lock" if record.open_block is not None else "nothing locked"
    print_pairs(
        {
            "terms": f"{_digest(record)}\n{home.terms_path}",
            "you are": f"the {record.role.value}, 0x{record.account.hex()}",
            "you give": _described(record, record.given),
            "you get": _described(record, record.taken),
            "so far": outcome or progress,
        }
    )


def _described(record: "SwapRecord", leg: "Leg") -> str:
    from datetime import UTC, datetime

    from orrange_p2p.launch.swap_terms import TermsLeg

    lock, shown = record.pact.leg(leg), TermsLeg.of(record.pact.leg(leg))
    unit = "wei of its coin" if shown.token == "coin" else f"units of {shown.token}"  # noqa: S105 - no password
    deadline = datetime.fromtimestamp(lock.deadline_s, tz=UTC)
    return (
        f"{lock.amount} {unit} on chain {lock.chain_id}, the {leg.value} lock\n"
        f"in {shown.contract}, until {deadline:%Y-%m-%d %H:%M:%S} UTC"
    )


def step_text(described: Mapping[str, Any]) -> str:
    """A step of `orrange swap run --json` for a person."""
    lock = f"{described['lock']} lock"
    match described["step"]:
        case "seen":
            final = ", final" if described["final"] else ""
            return f"{lock}: {described['state']} at block {described['block']}{final}"
        case "trouble":
            return f"{lock}: {described['message']}; it will be tried again"
        case deed:
            where = f"in block {described['block']}, {described['gas_used']:,} gas"
            return f"{lock}: we {deed} {where}, {described['transaction']}"


def _print_step(step: "SwapStep", *, as_json: bool) -> None:
    described = _describe_step(step)
    if as_json:
        print_json(described)
    else:
        typer.echo(step_text(described), err=described["step"] == "trouble")


def _describe_step(step: "SwapStep") -> dict[str, Any]:
    from orrange_p2p.chain.swap_runner import Acted, LockSeen

    lock = {"lock": step.leg.value}
    if isinstance(step, LockSeen):
        state = step.state.name.lower()
        return {"step": "seen", **lock, "state": state, "final": step.is_final, "block": step.block_number}
    if isinstance(step, Acted):
        done = step.done
        transaction = f"0x{done.transaction.hex()}"
        facts = {"transaction": transaction, "block": done.block_number, "gas_used": done.gas_used}
        return {"step": done.deed.value, **lock, **facts}
    return {"step": "trouble", **lock, "code": step.code, "message": step.message}
