"""The files in which two parties write down a swap between chains: a draft in TOML, and the terms in JSON.

Whoever initiates writes a draft. The terms follow from it: with the hashlock and both deadlines, the same file on both
sides, known by its digest.
"""

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.swap_terms import COIN, MARGIN_FLOOR_S, Leg, SwapLeg, SwapPact
from orrange_p2p.core.types import U64_MAX, Digest
from orrange_p2p.errors import ConfigError
from orrange_p2p.network import HexAddress, explain_fault, parse_address

COIN_NAME = "coin"
TERMS_MAX_BYTES = 1 << 16
_DIGEST_HEX = r"^0x[0-9a-f]{64}$"
_File = TypeVar("_File", bound=BaseModel)


def _whole_number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _checked_token(text: str) -> str:
    return text if text == COIN_NAME else "0x" + parse_address(text).hex()


Amount = Annotated[int, BeforeValidator(_whole_number), PlainSerializer(str, when_used="json"), Field(ge=1, lt=2**256)]
"""Token units; text in JSON, as numbers there end at 2^53."""

Token = Annotated[str, AfterValidator(_checked_token)]


class DraftLeg(BaseModel):
    """One lock, as far as its owner decides.

    Attributes:
        chain_id: the chain.
        contract: OrrangeSwap on it.
        token: an address, or `coin` for the chain's own.
        amount: in the token's smallest units.
        confirmations: blocks on top after which a block counts as final.
        finality_s: seconds within which a transaction, once sent, is mined and final.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    chain_id: int = Field(ge=1, le=U64_MAX)
    contract: HexAddress
    token: Token
    amount: Amount
    confirmations: int = Field(ge=1)
    finality_s: int = Field(ge=1, le=U64_MAX)


class TermsLeg(DraftLeg):
    """One lock, whole: `deadline_s` is unix seconds by the chain's clock."""

    deadline_s: int = Field(ge=1, le=U64_MAX)

    def leg(self) -> SwapLeg:
        """As the core knows it."""
        token = COIN if self.token == COIN_NAME else parse_address(self.token)
        return SwapLeg(**self.model_dump() | {"contract": parse_address(self.contract), "token": token})

    @classmethod
    def of(cls, leg: SwapLeg) -> Self:
        """As the file says it."""
        known = {field.name: getattr(leg, field.name) for field in fields(leg)}
        token = COIN_NAME if leg.token == COIN else f"0x{leg.token.hex()}"
        return cls(**known | {"contract": f"0x{leg.contract.hex()}", "token": token})


class SwapDraft(BaseModel):
    """What the initiator writes.

    Attributes:
        initiator: locks first; the same account on both chains.
        participant: locks second; the same account on both chains.
        lasts_s: seconds from now until the second lock ends.
        margin_s: seconds to spare in every decision about time.
        first: what the initiator gives.
        second: what the participant gives.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    initiator: HexAddress
    participant: HexAddress
    lasts_s: int = Field(ge=1, le=U64_MAX)
    margin_s: int = Field(default=10 * MARGIN_FLOOR_S, ge=MARGIN_FLOOR_S, le=U64_MAX)
    first: DraftLeg
    second: DraftLeg

    def pact(self, hashlock: Digest, now_s: int) -> SwapPact:
        """The terms, if they begin now: the first lock lasts just as much longer as the participant needs.

        Args:
            hashlock: of the preimage drawn for this swap.
            now_s: unix seconds.

        Raises:
            ConfigError: it lasts too short for both chains' finality.
        """
        first, second = self.first, self.second
        least_s = first.finality_s + 2 * second.finality_s + 2 * self.margin_s
        if self.lasts_s < least_s:
            raise ConfigError(
                f"expected a lasts_s of at least {least_s}, so that both locks and the claim become final in time, was "
                f"{self.lasts_s}"
            )
        second_ends_s = now_s + self.lasts_s
        first_ends_s = second_ends_s + first.finality_s + second.finality_s + self.margin_s
        terms = SwapTermsFile(
            initiator=self.initiator,
            participant=self.participant,
            hashlock=f"0x{hashlock.hex()}",
            margin_s=self.margin_s,
            first=TermsLeg(**first.model_dump(), deadline_s=first_ends_s),
            second=TermsLeg(**second.model_dump(), deadline_s=second_ends_s),
        )
        return terms.pact()


class SwapTermsFile(BaseModel):
    """What both parties hold. Spaces and order in the file do not count, every value does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initiator: HexAddress
    participant: HexAddress
    hashlock: str = Field(pattern=_DIGEST_HEX)
    margin_s: int = Field(ge=0, le=U64_MAX)
    nonce: int = Field(default=0, ge=0, le=U64_MAX)
    first: TermsLeg
    second: TermsLeg

    def pact(self) -> SwapPact:
        """As the core knows them; whether they are safe is for `begin_swap` to say."""
        return SwapPact(
            initiator=parse_address(self.initiator),
            participant=parse_address(self.participant),
            hashlock=Digest(bytes.fromhex(self.hashlock.removeprefix("0x"))),
            first=self.first.leg(),
            second=self.second.leg(),
            margin_s=self.margin_s,
            nonce=self.nonce,
        )

    @classmethod
    def of(cls, pact: SwapPact) -> Self:
        """As the file says them."""
        return cls(
            initiator=f"0x{pact.initiator.hex()}",
            participant=f"0x{pact.participant.hex()}",
            hashlock=f"0x{pact.hashlock.hex()}",
            margin_s=pact.margin_s,
            nonce=pact.nonce,
            first=TermsLeg.of(pact.leg(Leg.FIRST)),
            second=TermsLeg.of(pact.leg(Leg.SECOND)),
        )

    def digest(self) -> Digest:
        """What both parties compare: keccak256 of the terms as JSON, names sorted, without spaces."""
        plain = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return keccak256(plain.encode())

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def read_draft(path: Path) -> SwapDraft:
    """The draft in a TOML file.

    Raises:
        ConfigError: no such file, or not a draft; the message names the setting.
    """
    try:
        found = tomllib.loads(_read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a draft of a swap in TOML at {path}, was something else: {error}") from error
    return _validated(SwapDraft, found, path)


def read_terms(path: Path) -> SwapTermsFile:
    """The terms in a JSON file.

    Raises:
        ConfigError: no such file, or not terms; the message names the setting.
    """
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"expected terms of a swap in JSON at {path}, was something else") from error
    return _validated(SwapTermsFile, found, path)


def _validated(kind: type[_File], found: Any, path: Path) -> _File:  # noqa: ANN401 - read from outside
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain_fault(error)}") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(TERMS_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the file {path} cannot be read: {error.strerror}") from error
    if len(content) > TERMS_MAX_BYTES:
        raise ConfigError(f"expected a file of at most {TERMS_MAX_BYTES} bytes at {path}, was more")
    return content
