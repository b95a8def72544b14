"""What JSON-RPC adds: chains that are away, wrong, broken or hostile."""

import json
import socket

import pytest
import trio
from loopback_server import Answer, run_scripted

from orrange_p2p.chain.anvil import RunningAnvil
from orrange_p2p.chain.backend import CallReverted, TransactionRefused
from orrange_p2p.chain.rpc import JsonRpcChain, open_rpc
from orrange_p2p.core.types import Address, Digest
from orrange_p2p.errors import ChainUnavailable, ConfigError

NOBODY = Address(b"\x0c" * 20)


def unused_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answering(result: object) -> Answer:
    """An answer of one result."""
    return 200, json.dumps({"jsonrpc": "2.0", "id": 0, "result": result}).encode()


def failing(**error: object) -> Answer:
    """An answer of one error."""
    return 200, json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}).encode()


async def test_an_unreachable_chain_is_said_in_one_sentence() -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(ChainUnavailable) as unavailable:
        async with open_rpc(url, expected_chain_id=1):
            pass
    message = str(unavailable.value)
    assert url in message
    assert "check that it is running and that the URL is right" in message
    assert "\n" not in message


async def test_a_wrong_chain_id_is_said_with_both_ids(anvil: RunningAnvil) -> None:
    with pytest.raises(ConfigError, match=rf"^expected chain id 1, was 31337 at {anvil.url}$"):
        async with open_rpc(anvil.url, expected_chain_id=1):
            pass


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "http://", "file:///etc/passwd", "http://h:port"]
)
def test_a_malformed_url_is_said(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a chain URL such as"):
        JsonRpcChain(url)


async def test_a_key_in_the_url_is_never_shown() -> None:
    url = f"http://user:secret@127.0.0.1:{unused_port()}/v3/apikey"
    with pytest.raises(ChainUnavailable) as unavailable:
        async with open_rpc(url, expected_chain_id=1):
            pass
    assert "secret" not in str(unavailable.value)
    assert "apikey" not in str(unavailable.value)


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_transient_failure_is_tried_again(status: int) -> None:
    def script(number: int, _body: bytes) -> Answer:
        return (status, b"") if number < 3 else answering("0x7a69")

    async with run_scripted(script) as server, open_rpc(server.url) as chain:
        assert await chain.chain_id() == 31337
        assert chain.statistics() == {"requests": 3, "retries": 2}


async def test_repetition_is_bounded() -> None:
    async with run_scripted(lambda _number, _body: (503, b"")) as server, open_rpc(server.url) as chain:
        with pytest.raises(ChainUnavailable, match="HTTP status 503"):
            await chain.chain_id()
        assert len(server.requests) == 3


async def test_a_refusal_is_not_repeated() -> None:
    async with run_scripted(lambda _number, _body: (401, b"")) as server, open_rpc(server.url) as chain:
        with pytest.raises(ChainUnavailable, match="HTTP status 401; check its URL and key"):
            await chain.chain_id()
        assert len(server.requests) == 1


async def test_a_silent_server_is_given_up() -> None:
    async with trio.open_nursery() as nursery:

        async def say_nothing(stream: trio.SocketStream) -> None:
            async with stream:
                await trio.sleep_forever()

        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(say_nothing, 0, host="127.0.0.1", task_status=task_status)
        )
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with trio.fail_after(10):
            async with open_rpc(url, timeout_s=0.1) as chain:
                with pytest.raises(ChainUnavailable, match="cannot be reached"):
                    await chain.chain_id()
        nursery.cancel_scope.cancel()


async def test_brackets_in_words_are_not_depth() -> None:
    script = failing(code=-32000, message='expected "[[[{{ and \\ was ]')
    async with run_scripted(lambda _number, _body: script) as server, open_rpc(server.url) as chain:
        with pytest.raises(ChainUnavailable, match=r"refused eth_chainId: expected .*was \]"):
            await chain.chain_id()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpx's own generators, cut short
async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrange_p2p.chain.rpc._MAX_ANSWER_BYTES", 1_000)
    long = answering("0x" + "0" * 2_000)
    async with run_scripted(lambda _number, _body: long) as server, open_rpc(server.url) as chain:
        with pytest.raises(ChainUnavailable, match="answered more than 1000 bytes"):
            await chain.chain_id()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 17 + b"]" * 17,
        b"\xff\xfe",
        b'{"result": "0x12"}',
        b"<html>",
        b"null",
        b"[]",
        b'[{"id": [], "result": null}, {"id": {}}, 7, null]',
        b"7",
        b"{}",
        b'{"result": null}',
        b'{"result": 7}',
        b'{"result": "7a69"}',
        b'{"result": "0xzz"}',
        b'{"result": {}}',
        b'{"result": []}',
        b'{"error": null}',
        b'{"error": "no"}',
        b'{"error": {"code": -32601, "message": "no such method"}}',
        b'{"result": {"number": "0x1", "hash": 7, "parentHash": null, "timestamp": []}}',
        b'{"result": {"baseFeePerGas": [], "reward": 7}}',
        b'{"result": {"baseFeePerGas": ["0x1"], "reward": 7}}',
        b'{"result": {"baseFeePerGas": ["0x1"], "reward": [7]}}',
        b'{"result": [{"address": 7}]}',
        b'{"result": {"contractAddress": "0x", "blockNumber": "0x1", "status": null, "gasUsed": "0x1", "logs": {}}}',
    ],
)
async def test_nonsense_is_an_unavailable_chain_and_nothing_worse(content: bytes) -> None:
    async with run_scripted(lambda _number, _body: (200, content)) as server, open_rpc(server.url) as chain:
        digest = Digest(bytes(32))
        for ask in (
            chain.chain_id,
            chain.head,
            chain.fees,
            lambda: chain.blocks(1, 2),
            lambda: chain.logs(1, 2, (NOBODY,)),
            lambda: chain.code(NOBODY),
            lambda: chain.transaction_count(NOBODY),
            lambda: chain.receipt(digest),
            lambda: chain.call(NOBODY, b""),
            lambda: chain.estimate_gas(NOBODY, None, b"", 0),
            lambda: chain.send_raw(b"\x02"),
        ):
            try:
                await ask()
            except (ChainUnavailable, TransactionRefused):
                continue
            assert content in (b'{"result": null}', b'{"result": []}', b'{"result": "0x12"}')


async def test_an_error_of_the_chain_is_passed_on() -> None:
    script = failing(code=-32000, message="header not found")
    async with run_scripted(lambda _number, _body: script) as server, open_rpc(server.url) as chain:
        with pytest.raises(ChainUnavailable, match="refused eth_getCode: header not found"):
            await chain.code(NOBODY)
        with pytest.raises(ChainUnavailable, match="refused eth_call: header not found"):
            await chain.call(NOBODY, b"")


@pytest.mark.parametrize(
    ("error", "payload"),
    [
        ({"code": 3, "message": "execution reverted", "data": "0x08c379a0"}, b"\x08\xc3\x79\xa0"),
        ({"code": -32000, "message": "execution reverted"}, b""),
        ({"code": 3, "message": "custom error", "data": {"nested": 1}}, b""),
    ],
)
async def test_a_revert_is_told_from_a_failure(error: dict[str, object], payload: bytes) -> None:
    async with run_scripted(lambda _number, _body: failing(**error)) as server, open_rpc(server.url) as chain:
        with pytest.raises(CallReverted) as reverted:
            await chain.call(NOBODY, b"")
        assert reverted.value.payload == payload


@pytest.mark.parametrize("text", ["already known", "AlreadyKnown", "known transaction: 0x12"])
async def test_a_transaction_the_pool_has_is_not_an_error(text: str) -> None:
    script = failing(code=-32000, message=text)
    async with run_scripted(lambda _number, _body: script) as server, open_rpc(server.url) as chain:
        assert len(await chain.send_raw(b"\x02\x01")) == 32


async def test_a_nonce_used_by_this_very_transaction_is_not_an_error() -> None:
    def script(number: int, _body: bytes) -> Answer:
        return failing(code=-32000, message="nonce too low") if number == 1 else answering({"hash": "0x00"})

    async with run_scripted(script) as server, open_rpc(server.url) as chain:
        assert len(await chain.send_raw(b"\x02\x01")) == 32
        assert b"eth_getTransactionByHash" in server.requests[1]


async def test_long_ranges_of_logs_are_split() -> None:
    async with run_scripted(lambda _number, _body: answering([])) as server, open_rpc(server.url) as chain:
        assert await chain.logs(5, 2_500, (NOBODY,)) == ()
        ranges = [json.loads(body)["params"][0] for body in server.requests]
    assert [(int(each["fromBlock"], 16), int(each["toBlock"], 16)) for each in ranges] == [
        (5, 1_004),
        (1_005, 2_004),
        (2_005, 2_500),
    ]


async def test_answers_of_a_batch_are_put_in_order() -> None:
    def block(number: int) -> dict[str, object]:
        digest = "0x" + f"{number:064x}"
        return {"number": hex(number), "hash": digest, "parentHash": digest, "timestamp": "0x1"}

    def script(_number: int, body: bytes) -> Answer:
        asked = json.loads(body)
        answers = [{"id": each["id"], "result": block(int(each["params"][0], 16))} for each in reversed(asked)]
        return 200, json.dumps(answers).encode()

    async with run_scripted(script) as server, open_rpc(server.url) as chain:
        blocks = await chain.blocks(3, 60)
        assert [block.number for block in blocks] == list(range(3, 61))
        assert len(server.requests) == 2
