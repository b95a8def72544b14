"""What the cross-chain demo stands on: two anvil chains with OrrangeSwap and a token each, and two funded parties."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orrange_p2p.chain.anvil import run_anvil
from orrange_p2p.chain.backend import DEVELOPMENT_CHAIN_ID
from orrange_p2p.chain.balances import read_wallet
from orrange_p2p.chain.contracts import swap_contract, token_contract
from orrange_p2p.chain.funding import TestTokenPlan, deploy_test_tokens
from orrange_p2p.chain.lane import TransactionLane
from orrange_p2p.chain.rpc import JsonRpcChain, open_rpc
from orrange_p2p.core.swap_terms import Leg
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError
from orrange_p2p.keys.derive import derive_secret
from orrange_p2p.keys.keystore import write_keystore
from orrange_p2p.keys.session import SessionKey
from orrange_p2p.launch.devnet_process import Warden
from orrange_p2p.launch.found import GAS_MONEY_WEI

PARTIES = ("alice", "bob")
HELD = 1_000_000_000
_SCRYPT_N = 1 << 10  # The keys of a demo are known to all who know its seed.
_SWAP_GAS, _MINT_GAS = 3_000_000, 100_000
_TOKENS = {
    Leg.FIRST: TestTokenPlan(name="Test Bitcoin", symbol="BTC", decimals=8),
    Leg.SECOND: TestTokenPlan(name="Test Dollar", symbol="USD", decimals=6),
}

Balances = Mapping[str, Mapping[str, int]]
"""Token units by token and by who holds them: both parties and the swap contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who swaps, with the files that `orrange swap run` wants."""

    name: str
    address: Address
    key_path: Path
    passphrase_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyChain:
    """A chain with OrrangeSwap and a token of which each party holds `HELD` units."""

    chain_id: int
    url: str
    backend: JsonRpcChain
    contract: Address
    token: Address
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyWorld:
    """Both chains and both parties."""

    chains: Mapping[Leg, PartyChain]
    parties: Mapping[str, Party]

    async def read_balances(self) -> Balances:
        """What everybody holds now."""
        found: dict[str, dict[str, int]] = {}
        for chain in self.chains.values():
            holders = {party.name: party.address for party in self.parties.values()} | {"contract": chain.contract}
            found[chain.symbol] = {
                name: await read_wallet(chain.backend, address, chain.token) for name, address in holders.items()
            }
        return found

    async def advance(self, seconds: int, *, blocks: int) -> None:
        """Let time pass on both chains."""
        for chain in self.chains.values():
            await chain.backend.advance_development_time(seconds, blocks=blocks)


@asynccontextmanager
async def open_party_world(directory: Path, seed: str, warden: Warden) -> AsyncIterator[PartyWorld]:
    """Start both chains, deploy and fund; at the end of the block, however it ends, no chain is left.

    Raises:
        ConfigError: no anvil, or a contract that was not deployed.
        ChainUnavailable: a chain does not answer.
    """
    keys = {name: SessionKey.from_bytes(derive_secret(seed, f"swap {name}")) for name in PARTIES}
    faucet = SessionKey.from_bytes(derive_secret(seed, "faucet"))
    coin = dict.fromkeys((faucet.address, *(key.address for key in keys.values())), GAS_MONEY_WEI)
    async with AsyncExitStack() as opened:
        chains: dict[Leg, PartyChain] = {}
        for number, leg in enumerate(Leg):
            anvil = await opened.enter_async_context(
                run_anvil(balances_wei=coin, chain_id=DEVELOPMENT_CHAIN_ID + number)
            )
            await warden.watch(anvil.pid)
            backend = await opened.enter_async_context(open_rpc(anvil.url, expected_chain_id=anvil.chain_id))
            contract, token = await _prepare(backend, faucet, _TOKENS[leg], [key.address for key in keys.values()])
            chains[leg] = PartyChain(
                chain_id=anvil.chain_id,
                url=anvil.url,
                backend=backend,
                contract=contract,
                token=token,
                symbol=_TOKENS[leg].symbol,
            )
        yield PartyWorld(
            chains=chains, parties={name: _write_party(directory, name, key) for name, key in keys.items()}
        )


async def _prepare(
    backend: JsonRpcChain, faucet: SessionKey, plan: TestTokenPlan, holders: list[Address]
) -> tuple[Address, Address]:
    """Deploy contract and token, and mint; two blocks at most."""
    lane = TransactionLane(backend, faucet)
    sent = await lane.send(None, swap_contract().encode_deployment(), gas=_SWAP_GAS)
    (token,) = await deploy_test_tokens(lane, (plan,))
    contract = (await lane.wait(sent)).contract
    if contract is None:
        raise ConfigError(f"expected OrrangeSwap to be deployed on chain {await backend.chain_id()}, was not")
    mints = [token_contract().encode_call("mint", holder, HELD) for holder in holders]
    under_way = [await lane.send(token, payload, gas=_MINT_GAS) for payload in mints]
    for transaction in under_way:
        await lane.wait(transaction)
    return contract, token


def _write_party(directory: Path, name: str, key: SessionKey) -> Party:
    home = directory / name
    home.mkdir(mode=0o700)
    passphrase = f"the demo's {name}"
    passphrase_path = home / "passphrase.txt"
    passphrase_path.write_text(passphrase + "\n", encoding="utf-8")
    write_keystore(home / "key.json", key, passphrase, scrypt_n=_SCRYPT_N)
    return Party(name=name, address=key.address, key_path=home / "key.json", passphrase_path=passphrase_path)
