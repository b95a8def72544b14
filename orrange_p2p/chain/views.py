"""Asks one of our contracts a view function."""

from typing import Any

from eth_abi.exceptions import DecodingError

from orrange_p2p.chain.abi import ContractInterface
from orrange_p2p.chain.backend import Backend, CallReverted
from orrange_p2p.core.types import Address
from orrange_p2p.errors import ConfigError


async def read_view(
    backend: Backend,
    contract: ContractInterface,
    address: Address,
    function: str,
    *arguments: object,
    block_number: int | None = None,
) -> Any:  # noqa: ANN401 - ABI values are of any type
    """The first value that a view function answers on the newest block, or on block `block_number`.

    Raises:
        ConfigError: no such contract stands at `address`, or another one that has no such function.
        ChainUnavailable: the chain cannot be reached.
    """
    try:
        payload = await backend.call(address, contract.encode_call(function, *arguments), block_number=block_number)
        return contract.decode_result(function, payload)[0]
    except (CallReverted, DecodingError) as error:
        raise ConfigError(
            f"expected the {contract.name} contract at 0x{address.hex()}, was none that answers {function}()"
        ) from error
