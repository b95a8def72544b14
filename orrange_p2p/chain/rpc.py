"""A chain behind JSON-RPC: any Ethereum node, over httpx on trio.

Transient failures are tried again a bounded number of times with growing pauses; then `ChainUnavailable` says in one
sentence what to look at.
"""

import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import httpx
import trio

from orrange_p2p.chain.backend import BlockRef, CallReverted, ChainBusy, Fees, Levels, Log, Receipt, TransactionRefused
from orrange_p2p.chain.bloom import compute_bloom
from orrange_p2p.chain.rpc_answers import (
    parse_json,
    read_address,
    read_block,
    read_bytes,
    read_digest,
    read_field,
    read_list,
    read_log,
    read_number,
    unreadable,
)
from orrange_p2p.core.hashing import keccak256
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, ConfigError

_ATTEMPTS = 3
_BACKOFF_START_S = 0.2
_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.25
_LOG_RANGE_BLOCKS = 1_000
_BATCH_CALLS = 50
_MAX_CONNECTIONS = 8
_SAFE_DEPTH = 12
_FINALIZED_DEPTH = 64
_LONGEST_WISH_S = 10.0
_WISH_DIGITS = 6
_MAX_ANSWER_BYTES = 32 * 1024 * 1024
_TRANSIENT_STATUS = (429, 500, 502, 503, 504)
_DEFAULT_PRIORITY_FEE_WEI = 10**9
_REVERT_CODE = 3
_WITH_TRANSACTIONS = False
_KNOWN_MESSAGES = ("already known", "already imported", "known transaction", "alreadyknown")
_NONCE_MESSAGES = (
    "nonce too low",
    "nonce is too low",
    "replacement transaction underpriced",
    "invalid nonce",
)
_REVERT_MESSAGES = ("revert", "out of gas", "invalid opcode")


class _RpcError(Exception):
    """The chain answered a request with an error object."""

    def __init__(self, error: Any) -> None:  # noqa: ANN401 - JSON from outside
        fields = error if isinstance(error, dict) else {}
        self.code = fields.get("code")
        self.text = str(fields.get("message", error))
        self.payload = fields.get("data")
        super().__init__(self.text)


class _Body(httpx.AsyncByteStream):
    """A request body in one piece: httpx's own is an async generator, which trio complains about when cancelled."""

    def __init__(self, content: bytes) -> None:
        self._pieces = [content]

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


@asynccontextmanager
async def open_rpc(
    url: str,
    *,
    expected_chain_id: int | None = None,
    timeout_s: float = _TIMEOUT_S,
    poll_interval_s: float = _POLL_INTERVAL_S,
    attempts: int = _ATTEMPTS,
) -> AsyncIterator["JsonRpcChain"]:
    """Open the chain at `url`, check its id if one is expected, and close it at the end.

    Raises:
        ChainUnavailable: nothing answers there.
        ConfigError: the URL is malformed, or another chain answers.
    """
    chain = JsonRpcChain(url, timeout_s=timeout_s, poll_interval_s=poll_interval_s, attempts=attempts)
    try:
        if expected_chain_id is not None:
            found = await chain.chain_id()
            if found != expected_chain_id:
                raise ConfigError(f"expected chain id {expected_chain_id}, was {found} at {chain.shown_url}")
        yield chain
    finally:
        with trio.CancelScope(shield=True):
            await chain.aclose()


class JsonRpcChain:
    """A `Backend` over JSON-RPC. Use `open_rpc`, or call `aclose` at the end."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = _TIMEOUT_S,
        poll_interval_s: float = _POLL_INTERVAL_S,
        attempts: int = _ATTEMPTS,
    ) -> None:
        # Keys of hosted endpoints stand in the path or before the host: neither is ever shown.
        self.shown_url, host = _checked_url(url)
        self._url = url
        self._poll_interval_s = poll_interval_s
        self._attempts = attempts
        self._requests = 0
        self._retries = 0
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            trust_env=not _is_loopback(host),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def statistics(self) -> dict[str, int]:
        """HTTP requests sent, and how many of them were repetitions."""
        return {"requests": self._requests, "retries": self._retries}

    async def chain_id(self) -> int:
        """See `Backend`."""
        return read_number(await self._ask("eth_chainId"))

    async def head(self) -> BlockRef:
        """See `Backend`."""
        block = read_block(await self._ask("eth_getBlockByNumber", "latest", _WITH_TRANSACTIONS))
        if block is None:
            raise ChainUnavailable(f"the chain at {self.shown_url} has no block yet; wait until it is synced")
        return block

    async def head_number(self) -> int:
        """The newest block's number, which is less to send than the block."""
        return read_number(await self._ask("eth_blockNumber"))

    async def levels(self) -> Levels:
        """See `Backend`. By the chain's own tags; where it has none, by depth."""
        seen = (await self.head()).number
        try:
            safe, finalized = [await self._tagged(tag) for tag in ("safe", "finalized")]
        except _RpcError:
            safe, finalized = max(0, seen - _SAFE_DEPTH), max(0, seen - _FINALIZED_DEPTH)
            return Levels(seen=seen, safe=safe, finalized=finalized, is_by_depth=True)
        return Levels(seen=seen, safe=safe, finalized=finalized)

    async def _tagged(self, tag: str) -> int:
        """The number of the block that the chain calls so; 0 while it calls none so."""
        block = read_block(await self._ask_raw("eth_getBlockByNumber", tag, _WITH_TRANSACTIONS))
        return block.number if block is not None else 0

    async def blocks(self, first: int, last: int) -> tuple[BlockRef, ...]:
        """See `Backend`. The blocks of a batch are asked for in one request."""
        found: list[BlockRef] = []
        for start in range(first, last + 1, _BATCH_CALLS):
            numbers = range(start, min(last + 1, start + _BATCH_CALLS))
            answers = await self._ask_many(
                [("eth_getBlockByNumber", [hex(number), _WITH_TRANSACTIONS]) for number in numbers]
            )
            for answer in answers:
                block = read_block(answer)
                if block is None:
                    return tuple(found)
                found.append(block)
        return tuple(found)

    async def wait_head_above(self, number: int) -> BlockRef:
        """See `Backend`. Asks for the newest number at each poll interval."""
        while True:
            if await self.head_number() > number:
                head = await self.head()
                if head.number > number:
                    return head
            await trio.sleep(self._poll_interval_s)

    async def logs(self, first: int, last: int, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """See `Backend`. Long ranges are split, and those that the chain will not serve in one answer are halved."""
        found: list[Log] = []
        start, width = first, _LOG_RANGE_BLOCKS
        while start <= last:
            end = min(last, start + width - 1)
            question = {
                "fromBlock": hex(start),
                "toBlock": hex(end),
                "address": [_hex(address) for address in addresses],
            }
            try:
                answer = await self._ask_raw("eth_getLogs", question)
            except _RpcError as error:
                if start == end:
                    self._fail("eth_getLogs", error)
                width = (end - start + 1) // 2
                continue
            found += map(read_log, read_list(answer))
            start = end + 1
        return tuple(sorted(found, key=lambda log: (log.block_number, log.index)))

    async def block_logs(self, block: BlockRef, addresses: Sequence[Address]) -> tuple[Log, ...]:
        """See `Backend`. From the block's receipts, which must come to its filter; else asked for by its hash."""
        try:
            receipts = read_list(await self._ask_raw("eth_getBlockReceipts", _hex(block.hash)))
        except _RpcError:  # not every endpoint has this method
            question = {"blockHash": _hex(block.hash), "address": [_hex(address) for address in addresses]}
            found = tuple(map(read_log, read_list(await self._ask("eth_getLogs", question))))
        else:
            found = tuple(read_log(log) for receipt in receipts for log in read_list(read_field(receipt, "logs")))
            if block.logs_bloom and compute_bloom(found) != block.logs_bloom:
                raise ChainUnavailable(
                    f"the chain at {self.shown_url} returned other logs for block {block.number} than its header shows"
                )
        wanted = frozenset(addresses)
        return tuple(sorted((log for log in found if log.address in wanted), key=lambda log: log.index))

    async def call(
        self,
        to: Address,
        payload: bytes,
        *,
        sender: Address | None = None,
        value_wei: int = 0,
        block_number: int | None = None,
    ) -> bytes:
        """See `Backend`."""
        question = {"to": _hex(to), "input": _hex(payload)}
        if sender is not None:
            question["from"] = _hex(sender)
        if value_wei:
            question["value"] = hex(value_wei)
        place = "latest" if block_number is None else hex(block_number)
        try:
            return read_bytes(await self._ask_raw("eth_call", question, place))
        except _RpcError as error:
            self._fail_execution("eth_call", error)

    async def code(self, address: Address) -> bytes:
        """See `Backend`."""
        return read_bytes(await self._ask("eth_getCode", _hex(address), "latest"))

    async def balance_wei(self, address: Address) -> int:
        """See `Backend`."""
        return read_number(await self._ask("eth_getBalance", _hex(address), "latest"))

    async def transaction_count(self, address: Address) -> int:
        """See `Backend`."""
        return read_number(await self._ask("eth_getTransactionCount", _hex(address), "pending"))

    async def estimate_gas(self, sender: Address, to: Address | None, payload: bytes, value_wei: int) -> int:
        """See `Backend`."""
        question = {"from": _hex(sender), "input": _hex(payload), "value": hex(value_wei)}
        if to is not None:
            question["to"] = _hex(to)
        try:
            return read_number(await self._ask_raw("eth_estimateGas", question))
        except _RpcError as error:
            self._fail_execution("eth_estimateGas", error)

    async def fees(self) -> Fees:
        """See `Backend`. The priority fee is the median of the newest block's, or 1 gwei if the chain says none."""
        history = await self._ask("eth_feeHistory", "0x1", "latest", [50])
        base_fees = read_list(read_field(history, "baseFeePerGas"))
        if not base_fees:
            raise unreadable("a base fee", history)
        base_fee_wei = read_number(base_fees[-1])
        rewards = read_list(history.get("reward") or [])
        newest = read_list(rewards[-1] or []) if rewards else []
        reward_wei = read_number(newest[0]) if newest else 0
        return Fees(base_fee_wei=base_fee_wei, priority_fee_wei=reward_wei or _DEFAULT_PRIORITY_FEE_WEI)

    async def send_raw(self, raw: bytes) -> Digest:
        """See `Backend`."""
        digest = keccak256(raw)
        try:
            return read_digest(await self._ask_raw("eth_sendRawTransaction", _hex(raw)))
        except _RpcError as error:
            text = error.text.lower()
            if any(message in text for message in _KNOWN_MESSAGES):
                return digest
            is_nonce_taken = any(message in text for message in _NONCE_MESSAGES)
            if is_nonce_taken and await self._ask("eth_getTransactionByHash", _hex(digest)) is not None:
                return digest
            raise TransactionRefused(
                f"the chain at {self.shown_url} refused the transaction: {error.text}",
                is_nonce_taken=is_nonce_taken,
            ) from error

    async def receipt(self, transaction: Digest) -> Receipt | None:
        """See `Backend`."""
        answer = await self._ask("eth_getTransactionReceipt", _hex(transaction))
        if answer is None:
            return None
        contract = read_field(answer, "contractAddress")
        return Receipt(
            transaction=transaction,
            block_number=read_number(read_field(answer, "blockNumber")),
            is_success=read_number(read_field(answer, "status")) == 1,
            gas_used=read_number(read_field(answer, "gasUsed")),
            contract=None if contract is None else read_address(contract),
            logs=tuple(map(read_log, read_list(read_field(answer, "logs")))),
        )

    async def set_development_balance(self, address: Address, balance_wei: int) -> None:
        """Give native coin to an account of a development chain (anvil); any other chain refuses."""
        await self._ask("anvil_setBalance", _hex(address), hex(balance_wei))

    async def advance_development_time(self, seconds: int, *, blocks: int = 1) -> None:
        """Let time pass on a development chain (anvil), and mine blocks after it; any other chain refuses."""
        await self._ask("evm_increaseTime", seconds)
        for _ in range(blocks):
            await self._ask("evm_mine")

    async def _ask(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - JSON from outside
        """Ask one question whose error answer means that the chain cannot serve us."""
        try:
            return await self._ask_raw(method, *parameters)
        except _RpcError as error:
            self._fail(method, error)

    async def _ask_raw(self, method: str, *parameters: object) -> Any:  # noqa: ANN401 - JSON from outside
        answer = await self._post(_question(0, method, parameters))
        return _result(answer)

    async def _ask_many(self, questions: Sequence[tuple[str, list[object]]]) -> list[Any]:
        """Ask several questions in one request; answers in the order of the questions."""
        batch = [_question(index, method, parameters) for index, (method, parameters) in enumerate(questions)]
        answers = await self._post(batch)
        rows = [answer for answer in read_list(answers) if isinstance(answer, dict)]
        by_id = {answer["id"]: answer for answer in rows if isinstance(answer.get("id"), int)}
        try:
            return [_result(by_id.get(index)) for index in range(len(batch))]
        except _RpcError as error:
            self._fail(questions[0][0], error)

    async def _post(self, question: object) -> Any:  # noqa: ANN401 - JSON from outside
        pause_s = _BACKOFF_START_S
        reason, wish_s = "", 0.0
        for attempt in range(self._attempts):
            if attempt:
                self._retries += 1
                await trio.sleep(max(pause_s, min(wish_s, _LONGEST_WISH_S)))
                pause_s *= 2
            self._requests += 1
            try:
                request = self._client.build_request("POST", self._url, json=question)
                request.stream = _Body(request.content)
                response = await self._client.send(request, stream=True)
                content = await _read_bounded(response)
            except httpx.RequestError as error:
                reason = str(error) or type(error).__name__
                continue
            if content is None:
                raise ChainUnavailable(
                    f"the chain at {self.shown_url} answered more than {_MAX_ANSWER_BYTES} bytes; check its URL"
                )
            if response.status_code in _TRANSIENT_STATUS:
                reason, wish_s = f"HTTP status {response.status_code}", _read_wish_s(response)
                continue
            if response.status_code != httpx.codes.OK:
                raise ChainUnavailable(
                    f"the chain at {self.shown_url} answered HTTP status {response.status_code}; check its URL and key"
                )
            try:
                return parse_json(content)
            except ValueError as error:
                raise ChainUnavailable(
                    f"expected JSON from {self.shown_url}, was something else; check its URL"
                ) from error
        message = (
            f"the chain at {self.shown_url} cannot be reached ({reason}); check that it "
            "is running and that the URL is right"
        )
        raise ChainBusy(message, retry_after_s=wish_s) if wish_s else ChainUnavailable(message)

    def _fail(self, method: str, error: _RpcError) -> NoReturn:
        raise ChainUnavailable(f"the chain at {self.shown_url} refused {method}: {error.text}") from error

    def _fail_execution(self, method: str, error: _RpcError) -> NoReturn:
        """A call that failed: the contract's own refusal, or a chain that cannot serve us."""
        is_revert = error.code == _REVERT_CODE or any(text in error.text.lower() for text in _REVERT_MESSAGES)
        if not is_revert:
            self._fail(method, error)
        payload = error.payload
        raise CallReverted(
            read_bytes(payload) if isinstance(payload, str) and payload.startswith("0x") else b""
        ) from error


def _checked_url(url: str) -> tuple[str, str]:
    """The URL's scheme, host and port, fit to be shown, and its host."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError("expected a chain URL such as http://127.0.0.1:8545, was malformed") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(
            f"expected a chain URL such as http://127.0.0.1:8545, was one of scheme {parsed.scheme!r} and "
            f"host {parsed.host!r}"
        )
    return f"{parsed.scheme}://{parsed.netloc.decode('ascii')}", parsed.host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _read_bounded(response: httpx.Response) -> bytes | None:
    """The whole body, or None if it is longer than we take."""
    content = bytearray()
    try:
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > _MAX_ANSWER_BYTES:
                return None
    finally:
        with trio.CancelScope(shield=True):
            await response.aclose()
    return bytes(content)


def _read_wish_s(response: httpx.Response) -> float:
    """How long the endpoint asks to be left alone, if it says so in whole seconds; a date is not read."""
    wish = response.headers.get("retry-after", "")
    return float(wish) if wish.isdecimal() and len(wish) <= _WISH_DIGITS else 0.0


def _question(number: int, method: str, parameters: Sequence[object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(parameters)}


def _result(answer: object) -> Any:  # noqa: ANN401 - JSON from outside
    if not isinstance(answer, dict) or "error" in answer or "result" not in answer:
        raise _RpcError(answer.get("error", answer) if isinstance(answer, dict) else answer)
    return answer["result"]


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
