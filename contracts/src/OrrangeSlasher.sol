// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IOrrangeSettlement} from "./interfaces/IOrrangeSettlement.sol";
import {FeedEntry, IOrrangeSlasher, SignedEntry, SignedTicket} from "./interfaces/IOrrangeSlasher.sol";
import {IOrrangeVault} from "./interfaces/IOrrangeVault.sol";
import {Evidence} from "./libraries/Evidence.sol";
import {TypedData} from "./libraries/TypedData.sol";
import {MarketId, OrderId, Session, Ticket} from "./types/OrrangeTypes.sol";

/// @title The slasher
/// @dev The vault decides who pays and what is there to pay; here is only whether the proof holds. Decision 0033.
contract OrrangeSlasher is IOrrangeSlasher {
    using Evidence for FeedEntry;
    using Evidence for SignedTicket;

    uint256 private constant MOST_SHARE_BPS = 5_000;

    IOrrangeVault private immutable VAULT;
    IOrrangeSettlement private immutable SETTLEMENT;
    uint64 private immutable GENESIS_MS;
    uint64 private immutable EPOCH_MS;
    uint96 private immutable FORK_DUE;
    uint96 private immutable OVER_SIGNING_DUE;
    uint16 private immutable REPORTER_SHARE_BPS;
    uint64 private immutable EVIDENCE_WINDOW_S;

    mapping(address session => mapping(MarketId market => mapping(bool isOverSigning => bool))) private _slashed;

    /// @param vault_ The vault, deployed before with this contract's address as the slasher.
    /// @param settlement_ The settlement, deployed before.
    /// @param forkDue_ What a fork costs; micro-units of the fee token.
    /// @param overSigningDue_ What over-signing costs; micro-units.
    /// @param reporterShareBps_ The reporter's share of what is taken, in hundredths of a percent.
    /// @param evidenceWindowS_ Seconds after a session's end in which it can be convicted.
    constructor(
        IOrrangeVault vault_,
        IOrrangeSettlement settlement_,
        uint96 forkDue_,
        uint96 overSigningDue_,
        uint16 reporterShareBps_,
        uint64 evidenceWindowS_
    ) {
        bool isOwnVault =
            vault_.slasher() == address(this) && vault_.settlement() == address(settlement_);
        if (!isOwnVault) revert NotSlasherOf(address(vault_));
        if (reporterShareBps_ > MOST_SHARE_BPS) revert ShareTooLarge(reporterShareBps_, MOST_SHARE_BPS);
        uint256 reach = uint256(settlement_.fundLagS()) + settlement_.ticketLifeS() + evidenceWindowS_;
        uint256 delay = vault_.unbondingDelay();
        if (delay <= reach) revert UnbondingDelayTooShort(delay, reach + 1);
        VAULT = vault_;
        SETTLEMENT = settlement_;
        GENESIS_MS = settlement_.genesisMs();
        EPOCH_MS = settlement_.epochMs();
        FORK_DUE = forkDue_;
        OVER_SIGNING_DUE = overSigningDue_;
        REPORTER_SHARE_BPS = reporterShareBps_;
        EVIDENCE_WINDOW_S = evidenceWindowS_;
    }

    /// @inheritdoc IOrrangeSlasher
    function proveFork(SignedEntry calldata first, SignedEntry calldata second, address reporter) external {
        if (!first.entry.areOfOnePlace(second.entry)) revert DifferentPlaces();
        address session = first.entry.session;
        bytes32 digest = entryHash(first.entry);
        bytes32 otherDigest = entryHash(second.entry);
        if (digest == otherDigest) revert SameDigest(digest);
        _requireSigned(session, digest, first.signature);
        _requireSigned(session, otherDigest, second.signature);
        _convict(session, first.entry.market, false, reporter);
    }

    /// @inheritdoc IOrrangeSlasher
    function proveOverSigning(
        address session,
        SignedTicket calldata first,
        SignedTicket calldata second,
        address reporter
    ) external {
        bytes32 domain = SETTLEMENT.domainSeparator();
        bytes32 digest = _requireSignedTicket(domain, session, first);
        if (digest == _requireSignedTicket(domain, session, second)) revert SameDigest(digest);
        if (!first.areOfOneMarket(second)) revert DifferentMarkets();
        bool isTwice = first.useANumberTwice(second)
            || (_areOfOneTime(first.ticket, second.ticket) && first.takeLotsTwice(second, session));
        if (!isTwice) revert NothingTwice();
        _convict(session, first.maker.market, true, reporter);
    }

    /// @inheritdoc IOrrangeSlasher
    function isSlashed(address session, MarketId market, bool isOverSigning) external view returns (bool) {
        return _slashed[session][market][isOverSigning];
    }

    /// @inheritdoc IOrrangeSlasher
    function vault() external view returns (IOrrangeVault) {
        return VAULT;
    }

    /// @inheritdoc IOrrangeSlasher
    function settlement() external view returns (IOrrangeSettlement) {
        return SETTLEMENT;
    }

    /// @inheritdoc IOrrangeSlasher
    function forkDue() external view returns (uint96) {
        return FORK_DUE;
    }

    /// @inheritdoc IOrrangeSlasher
    function overSigningDue() external view returns (uint96) {
        return OVER_SIGNING_DUE;
    }

    /// @inheritdoc IOrrangeSlasher
    function reporterShareBps() external view returns (uint16) {
        return REPORTER_SHARE_BPS;
    }

    /// @inheritdoc IOrrangeSlasher
    function evidenceWindowS() external view returns (uint64) {
        return EVIDENCE_WINDOW_S;
    }

    /// @inheritdoc IOrrangeSlasher
    function entryHash(FeedEntry calldata entry) public view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(SETTLEMENT.domainSeparator(), entry.hash());
    }

    function _convict(address session, MarketId market, bool isOverSigning, address reporter) private {
        if (reporter == address(0)) revert ZeroReporter();
        if (_slashed[session][market][isOverSigning]) revert AlreadySlashed(session, market, isOverSigning);
        address owner = _answerable(session);
        _slashed[session][market][isOverSigning] = true;
        uint256 due = isOverSigning ? OVER_SIGNING_DUE : FORK_DUE;
        uint256 taken = VAULT.slash(owner, due, reporter, REPORTER_SHARE_BPS);
        emit Slashed(owner, session, market, isOverSigning, due, taken, reporter);
    }

    /// @dev Who answers for a session: its owner, until the window after its end is over.
    function _answerable(address session) private view returns (address) {
        Session memory record = VAULT.session(session);
        if (record.owner == address(0)) revert UnknownSession(session);
        bool isRevokedFirst = record.revokedAt != 0 && record.revokedAt < record.expiry;
        uint256 deadline = uint256(isRevokedFirst ? record.revokedAt : record.expiry) + EVIDENCE_WINDOW_S;
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp > deadline) revert EvidenceTooLate(session, deadline, block.timestamp);
        return record.owner;
    }

    /// @dev The digest of a ticket that names its orders and that the session signed for one of them.
    function _requireSignedTicket(bytes32 domain, address session, SignedTicket calldata signed)
        private
        pure
        returns (bytes32 digest)
    {
        Ticket calldata ticket = signed.ticket;
        digest = MessageHashUtils.toTypedDataHash(domain, TypedData.hash(ticket));
        bytes32 maker = MessageHashUtils.toTypedDataHash(domain, TypedData.hash(signed.maker));
        bytes32 taker = MessageHashUtils.toTypedDataHash(domain, TypedData.hash(signed.taker));
        bool isOfOrders = OrderId.unwrap(ticket.makerOrder) == maker && OrderId.unwrap(ticket.takerOrder) == taker;
        if (!isOfOrders) revert WrongOrders(digest);
        if (!signed.isParty(session)) revert NotAParty(session, digest);
        _requireSigned(session, digest, signed.signature);
    }

    /// @dev Nobody's signature recovers to the zero address, which is no session.
    function _requireSigned(address session, bytes32 digest, bytes memory signature) private pure {
        (address signer,,) = ECDSA.tryRecover(digest, signature);
        if (signer == address(0) || signer != session) revert NotSigned(session, digest);
    }

    function _areOfOneTime(Ticket calldata first, Ticket calldata second) private view returns (bool) {
        return Evidence.timesOverlap(_startOf(first.epoch), first.deadline, _startOf(second.epoch), second.deadline);
    }

    /// @dev Unix seconds, rounded down. Spec: [TYPE-2].
    function _startOf(uint64 epoch) private view returns (uint256) {
        return (GENESIS_MS + uint256(epoch) * EPOCH_MS) / 1000;
    }
}
