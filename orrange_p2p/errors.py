"""The errors that orrange raises, each with a stable code.

Expected outcomes are values, not errors; an error says who is to blame: `LocalProtocolError` this program,
`RemoteProtocolError` a peer, `ConfigError` and `OrderError` a person, `StoreError` the disk, `ChainUnavailable` the
chain.
"""


class OrrangeError(Exception):
    """Root of every error raised on purpose; `code` is stable and safe to match on."""

    code = "error"


class ProtocolError(OrrangeError):
    """A protocol rule was broken."""

    code = "protocol"

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"[{rule}] {message}")
        self.rule = rule


class LocalProtocolError(ProtocolError):
    """This program tried to do what the protocol forbids."""

    code = "protocol.local"


class RemoteProtocolError(ProtocolError):
    """A peer sent what no honest peer sends."""

    code = "protocol.remote"


class OrderError(OrrangeError):
    """An order was refused: which field, which value, by which rule."""

    code = "order"

    def __init__(self, field: str, value: object, rule: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.value = value
        self.rule = rule


class ConfigError(OrrangeError):
    """A setting is missing or wrong; the message says what was expected and what was given."""

    code = "config"


class StoreError(OrrangeError):
    """The store on disk cannot be opened, read or written."""

    code = "store"


class ChainUnavailable(OrrangeError):
    """The chain cannot be reached or is not the one that was configured."""

    code = "chain.unavailable"


class EscrowReverted(OrrangeError):
    """A contract refused a transaction; `reason` is the decoded custom error where there is one."""

    code = "chain.reverted"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the contract refused the transaction: {reason}")
        self.reason = reason


class NetworkError(OrrangeError):
    """A local network resource cannot be had, for example a port already in use."""

    code = "network"


class InternalError(OrrangeError):
    """A bug in orrange: stop the node."""

    code = "internal"
