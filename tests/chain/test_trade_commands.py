"""`orrange trade escrow|paid|confirm|cancel|dispute|resolve` against a real chain, without a node."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from chain_under_test import ChainUnderTest
from escrow_world import ARBITRATOR, BASE_AMOUNT, BOND_AMOUNT, BUYER, SELLER, EscrowChain, build_escrow_chain

from orrange_p2p.cli.escrow_words import parse_split
from orrange_p2p.cli.main import main
from orrange_p2p.config import MarketConfig, NetworkConfig
from orrange_p2p.core.escrow import EscrowState, EscrowTrade
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.keystore import write_keystore
from orrange_p2p.launch.escrow_steps import Split

PASSPHRASE = "a passphrase for tests"


@pytest.fixture
def kind() -> str:
    """Commands speak JSON-RPC."""
    return "rpc"


class Shell:
    """A network file, and who types commands."""

    def __init__(self, world: EscrowChain, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self._directory = directory
        self.network_file = directory / "net.toml"
        self._capsys = capsys

    async def place(self) -> None:
        """Put up a stand-in for the settlement contract, which is asked for its escrow and nothing else."""
        answer = bytes.fromhex("73") + self.world.escrow + bytes.fromhex("60005260206000f3")
        creation = bytes.fromhex(f"60{len(answer):02x}600c60003960{len(answer):02x}6000f3") + answer
        put = await self.world.faucet.submit(None, creation, gas=500_000)
        assert put.contract is not None
        network = _network(self.world, put.contract, put.block_number)
        self.network_file.write_text(_toml(network, self.world.chain.url))
        (self._directory / "secret.txt").write_text(PASSPHRASE + "\n")
        for name, key in (("seller", SELLER), ("buyer", BUYER), ("arbitrator", ARBITRATOR)):
            write_keystore(self._directory / f"{name}.json", key, PASSPHRASE, scrypt_n=2)

    async def run(self, command: str, trade: EscrowTrade, *more: object, who: str = "") -> tuple[int, str, str]:
        """Exit code, output and complaints of a command."""
        words = ["trade", command, f"0x{trade.ticket.hex()}", "--network", str(self.network_file)]
        if who:
            words += ["--key", str(self._directory / f"{who}.json")]
            words += ["--passphrase-file", str(self._directory / "secret.txt")]
        self._capsys.readouterr()
        code = await trio.to_thread.run_sync(main, [*words, *map(str, more)])
        said = self._capsys.readouterr()
        return code, said.out, said.err


def _network(world: EscrowChain | SimpleNamespace, settlement: Address, block: int) -> NetworkConfig:
    market = MarketConfig(
        name="BTC-USD",
        base=f"0x{world.base.hex()}",
        quote=f"0x{world.quote.hex()}",
        lot_size=1000,
        tick_size=10,
        base_decimals=6,
        quote_decimals=3,
    )
    return NetworkConfig(
        name="escrow tests",
        preset="dev",
        genesis_ms=0,
        chain_id=31337,
        vault=f"0x{world.vault.hex()}",
        settlement=f"0x{settlement.hex()}",
        deployed_at_block=block,
        markets=(market,),
    )


def _toml(network: NetworkConfig, url: str) -> str:
    (market,) = network.markets
    contracts = dict.fromkeys(("factory", "vault", "escrow", "slasher", "swap"), network.vault)
    contracts["settlement"] = network.settlement
    lines = [f'{name} = "{address}"' for name, address in contracts.items()]
    tables = [f"{name} = {json.dumps(value)}" for name, value in market.model_dump().items()]
    return "\n".join(
        [
            'name = "escrow tests"',
            'preset = "dev"',
            "chain_id = 31337",
            "genesis_ms = 0",
            f'rpc_urls = ["{url}"]',
            "[contracts]",
            *lines,
            f"deployed_at_block = {network.deployed_at_block}",
            "[[markets]]",
            *tables,
        ]
    )


@pytest.fixture
async def shell(chain: ChainUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    world = await build_escrow_chain(chain)
    shell = Shell(world, tmp_path, capsys)
    await shell.place()
    return shell


async def test_a_disputed_trade_is_split_by_its_arbitrator(shell: Shell) -> None:
    trade = await shell.world.new_in(EscrowState.PAID)
    code, _, err = await shell.run("confirm", trade, who="seller")
    asked = f"Give {BASE_AMOUNT} units of 0x{trade.base.hex()} to 0x{trade.buyer.hex()} for good?"
    assert (code, err) == (1, f"error: expected --yes, or a terminal to ask at, was neither: {asked}\n")
    code, out, _ = await shell.run("dispute", trade, who="seller")
    assert (code, "disputed: the arbitrator splits base and bonds, until 2" in out) == (0, True)
    split = ("--base-to-seller", "12.5", "--bonds-to-seller", "0", "--yes", "--json")
    code, out, err = await shell.run("resolve", trade, *split, who="buyer")
    assert code == 1
    assert "now (nothing), was resolve: the trade is disputed" in err
    code, out, _ = await shell.run("resolve", trade, *split, who="arbitrator")
    assert (code, json.loads(out)["state"]) == (0, "resolved")
    assert await shell.world.free(SELLER, shell.world.base) == BASE_AMOUNT * 1_250 // 10_000
    assert await shell.world.free(BUYER, shell.world.quote) == 2 * BOND_AMOUNT


async def test_a_cancel_says_what_it_costs(shell: Shell) -> None:
    trade = await shell.world.new_in(EscrowState.PAID)
    lost = BOND_AMOUNT - BOND_AMOUNT // 2
    code, _, err = await shell.run("cancel", trade, who="buyer")
    assert code == 1
    assert f"Cancel? It costs the buyer {lost} units of 0x{trade.quote.hex()} of its bond." in err
    assert json.loads((await shell.run("escrow", trade, "--json"))[1])["cancel_penalty"] == lost
    code, out, _ = await shell.run("cancel", trade, "--yes", who="buyer")
    assert (code, "cancelled: the seller has the base back" in out) == (0, True)
    code, _, err = await shell.run("escrow", shell.world.new_trade())
    assert (code, err.endswith("which it has not taken yet\n")) == (1, True)


@pytest.mark.parametrize("parts", [("", "1"), ("101", "1"), ("1", "-1"), ("1.234", "1"), ("1e1", "1"), ("1", "100.01")])
def test_parts_that_are_no_percentage_are_refused(parts: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="expected a percentage of 0 to 100 with at most two decimals"):
        parse_split(*parts)


def test_percentages_have_two_decimals() -> None:
    assert parse_split("12.5", "100%") == Split(seller_base_bps=1_250, seller_bonds_bps=10_000)
    assert parse_split("0.07", "50") == Split(seller_base_bps=7, seller_bonds_bps=5_000)


@pytest.mark.parametrize(
    "arguments",
    [
        ["resolve", "0x12"],
        ["resolve", "0x12", "--base-to-seller", "1"],
        ["resolve", "0x12", "--by-default", "--bonds-to-seller", "1"],
        ["resolve", "0x12", "--by-default", "--base-to-seller", "1", "--bonds-to-seller", "1"],
        ["paid"],
    ],
)
def test_arguments_that_contradict_each_other_are_wrong_usage(arguments: list[str]) -> None:
    assert main(["trade", *arguments]) == 2


def test_without_a_node_a_ticket_has_to_be_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = Address(b"\x11" * 20)
    world = SimpleNamespace(base=address, quote=Address(b"\x12" * 20), vault=address)
    file = tmp_path / "net.toml"
    file.write_text(_toml(_network(world, address, 0), "http://127.0.0.1:1"))
    assert main(["trade", "escrow", "0x123456", "--network", str(file)]) == 1
    assert capsys.readouterr().err == (
        "error: expected a whole ticket, 0x and 64 hex digits, without a node, was '0x123456'\n"
    )


def test_a_network_or_a_configuration_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trade", "escrow", "0x" + "12" * 32]) == 1
    assert capsys.readouterr().err == (
        "error: expected --config of your node, or --network without one, was both or neither\n"
    )
