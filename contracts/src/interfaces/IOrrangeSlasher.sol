// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {MarketId, Order, Ticket} from "../types/OrrangeTypes.sol";
import {IOrrangeSettlement} from "./IOrrangeSettlement.sol";
import {IOrrangeVault} from "./IOrrangeVault.sol";

/// @notice The head of an entry in a session's feed, as the session signs it. Spec: protocol/eip712.json.
struct FeedEntry {
    address session;
    address owner;
    MarketId market;
    uint64 seq;
    bytes32 prevHash;
    uint64 epoch;
    bytes32 itemsRoot;
}

/// @notice An entry and its session's signature.
struct SignedEntry {
    FeedEntry entry;
    bytes signature;
}

/// @notice A ticket, the accused session's signature on it, and both orders that it names.
struct SignedTicket {
    Ticket ticket;
    bytes signature;
    Order maker;
    Order taker;
}

/// @title What convicts on the chain: forks and over-signing
/// @notice A proof speaks for itself; anyone may bring it and name who is rewarded. It convicts a session in a market once a
/// kind, and the owner that the vault records for the session pays. Nobody owns, pauses or upgrades it. Spec: [EVID-1], [EVID-2].
interface IOrrangeSlasher {
    /// @notice `session` was convicted. `amountDue` micro-units of the fee token count in its owner's record; `taken` of them
    /// were in the bond, and `reporter` got its share of those.
    event Slashed(
        address indexed owner,
        address indexed session,
        MarketId indexed market,
        bool isOverSigning,
        uint256 amountDue,
        uint256 taken,
        address reporter
    );

    /// @notice The vault lets another contract slash, or the settlement speaks for another vault.
    error NotSlasherOf(address vault);
    /// @notice Bonds can be gone before the evidence window is over: their delay is at least `required`.
    error UnbondingDelayTooShort(uint256 delay, uint256 required);
    /// @notice A reporter gets at most half.
    error ShareTooLarge(uint256 shareBps, uint256 mostBps);
    /// @notice Somebody must be rewarded.
    error ZeroReporter();
    /// @notice The vault has no such session: nobody answers for it.
    error UnknownSession(address session);
    /// @notice The session ended too long ago: its key may be anybody's by now.
    error EvidenceTooLate(address session, uint256 deadline, uint256 time);
    /// @notice The session has paid for this kind in this market.
    error AlreadySlashed(address session, MarketId market, bool isOverSigning);
    /// @notice The signature on the digest is not the session's.
    error NotSigned(address session, bytes32 digest);
    /// @notice Both signed the same.
    error SameDigest(bytes32 digest);
    /// @notice The entries are of different sessions, markets or seqs.
    error DifferentPlaces();
    /// @notice An order is not the one that the ticket names.
    error WrongOrders(bytes32 ticket);
    /// @notice Neither order of the ticket is the session's.
    error NotAParty(address session, bytes32 ticket);
    /// @notice The four orders are not all of one market.
    error DifferentMarkets();
    /// @notice Neither lots of an own order at overlapping times, nor one number of one taker's session, were signed twice.
    error NothingTwice();

    /// @notice Convicts the session that signed two entries with one seq in one market. Spec: [EVID-1].
    function proveFork(SignedEntry calldata first, SignedEntry calldata second, address reporter) external;

    /// @notice Convicts a session that signed two tickets with lots of one own order at overlapping times, or with one
    /// number of one taker's session. Spec: [EVID-2].
    function proveOverSigning(
        address session,
        SignedTicket calldata first,
        SignedTicket calldata second,
        address reporter
    ) external;

    /// @notice What an entry's session signs.
    function entryHash(FeedEntry calldata entry) external view returns (bytes32);

    /// @notice Whether the session was convicted of this kind in the market.
    function isSlashed(address session, MarketId market, bool isOverSigning) external view returns (bool);

    /// @notice The vault whose bonds answer.
    function vault() external view returns (IOrrangeVault);

    /// @notice The contract of the domain that is signed under.
    function settlement() external view returns (IOrrangeSettlement);

    /// @notice What a fork costs; micro-units of the fee token.
    function forkDue() external view returns (uint96);

    /// @notice What over-signing costs; micro-units of the fee token.
    function overSigningDue() external view returns (uint96);

    /// @notice The reporter's share of what was taken, in hundredths of a percent; the rest is burned.
    function reporterShareBps() external view returns (uint16);

    /// @notice Seconds after a session's end in which it still can be convicted.
    function evidenceWindowS() external view returns (uint64);
}
