// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {EscrowState, IOrrangeEscrow, OpenedTrade} from "./interfaces/IOrrangeEscrow.sol";
import {IOrrangeVault} from "./interfaces/IOrrangeVault.sol";
import {EscrowMath} from "./libraries/EscrowMath.sol";
import {Sessions} from "./libraries/Sessions.sol";
import {Session, TicketDigest} from "./types/OrrangeTypes.sol";

/// @title The escrow
/// @dev A trade is one slot: state, since when, and a commitment to its terms, which whoever acts brings along. Every step
/// writes the state before it calls the vault, which calls nobody. Decision 0031 says who loses what, and why.
contract OrrangeEscrow is IOrrangeEscrow {
    using Sessions for Session;

    struct Record {
        EscrowState state;
        uint40 since; // unix seconds
        bytes26 commitment; // finding two terms of one is 2^104 work: more than two keys of one address
    }

    uint256 private constant TERMS_BYTES = 384; // twelve words
    uint256 private constant HALF_BPS = EscrowMath.WHOLE_BPS / 2;

    IOrrangeVault private immutable VAULT;
    address private immutable SETTLEMENT;
    address private immutable BOND_TOKEN;
    uint256 private immutable BOND_UNIT;
    uint64 private immutable GRACE_S;
    uint64 private immutable PAY_S;
    uint64 private immutable CONFIRM_S;
    uint64 private immutable ARBITRATION_S;
    uint96 private immutable DISPUTE_DUE;

    mapping(TicketDigest ticket => Record) private _records;

    /// @param vault_ The vault, deployed before with this contract's address as the escrow.
    /// @param graceS_ Seconds from Open in which the buyer may cancel for free.
    /// @param payS_ Seconds from Open to say that one has paid.
    /// @param confirmS_ Seconds from Paid to release or dispute.
    /// @param arbitrationS_ Seconds from Disputed to decide.
    /// @param disputeDue_ What losing a whole bond that is not in the fee token counts for; micro-units.
    constructor(
        IOrrangeVault vault_,
        uint64 graceS_,
        uint64 payS_,
        uint64 confirmS_,
        uint64 arbitrationS_,
        uint96 disputeDue_
    ) {
        if (vault_.escrow() != address(this)) {
            revert NotEscrowOf(address(vault_), vault_.escrow());
        }
        if (graceS_ == 0 || graceS_ >= payS_ || confirmS_ == 0 || arbitrationS_ == 0) revert InvalidClocks();
        VAULT = vault_;
        SETTLEMENT = vault_.settlement();
        BOND_TOKEN = vault_.bondToken();
        BOND_UNIT = vault_.bondUnit();
        GRACE_S = graceS_;
        PAY_S = payS_;
        CONFIRM_S = confirmS_;
        ARBITRATION_S = arbitrationS_;
        DISPUTE_DUE = disputeDue_;
    }

    /// @inheritdoc IOrrangeEscrow
    function open(OpenedTrade calldata trade) external {
        if (msg.sender != SETTLEMENT) revert NotSettlement(msg.sender);
        if (!_isSound(trade)) revert InvalidTrade(trade.ticket);
        if (_records[trade.ticket].state != EscrowState.None) revert TradeExists(trade.ticket);
        _records[trade.ticket] = Record(EscrowState.Open, SafeCast.toUint40(block.timestamp), _commitment(trade));
        emit EscrowOpened(
            trade.ticket,
            trade.seller,
            trade.buyer,
            trade.market,
            trade.base,
            trade.quote,
            trade.baseAmount,
            trade.bondAmount,
            trade.paymentMethod,
            trade.arbitrator,
            trade.security,
            trade.matchedAt
        );
    }

    /// @inheritdoc IOrrangeEscrow
    function markPaid(OpenedTrade calldata trade) external {
        (EscrowState state, uint256 since) = _load(trade);
        if (state != EscrowState.Open) revert WrongState(trade.ticket, state);
        if (!_actsFor(trade.buyer)) revert NotBuyer(trade.ticket, msg.sender);
        _requireBefore(trade.ticket, since + PAY_S);
        _enter(trade.ticket, EscrowState.Paid);
        emit PaymentConfirmed(trade.ticket, trade.seller, trade.buyer);
    }

    /// @inheritdoc IOrrangeEscrow
    function release(OpenedTrade calldata trade) external {
        (EscrowState state,) = _load(trade);
        if (!_isRunning(state)) revert WrongState(trade.ticket, state);
        if (msg.sender != trade.seller) revert NotSeller(trade.ticket, msg.sender);
        _enter(trade.ticket, EscrowState.Released);
        emit EscrowReleased(trade.ticket, trade.seller, trade.buyer);
        _pay(trade, 0, trade.bondAmount);
    }

    /// @inheritdoc IOrrangeEscrow
    function cancel(OpenedTrade calldata trade) external {
        (EscrowState state, uint256 since) = _load(trade);
        if (state != EscrowState.Open && state != EscrowState.Paid) revert WrongState(trade.ticket, state);
        uint256 penalty = _penalty(trade, state, since);
        _enter(trade.ticket, EscrowState.Cancelled);
        emit TradeCancelled(trade.ticket, trade.seller, trade.buyer, penalty);
        _pay(trade, trade.baseAmount, trade.bondAmount + penalty);
    }

    /// @inheritdoc IOrrangeEscrow
    function dispute(OpenedTrade calldata trade) external {
        (EscrowState state, uint256 since) = _load(trade);
        if (state != EscrowState.Paid) revert WrongState(trade.ticket, state);
        if (!_actsFor(trade.seller)) _requireFrom(trade.ticket, since + CONFIRM_S);
        _enter(trade.ticket, EscrowState.Disputed);
        emit TradeDisputed(trade.ticket, trade.seller, trade.buyer, msg.sender);
    }

    /// @inheritdoc IOrrangeEscrow
    function resolve(OpenedTrade calldata trade, uint256 sellerBaseBps, uint256 sellerBondsBps) external {
        if (sellerBaseBps > EscrowMath.WHOLE_BPS) revert InvalidSplit(sellerBaseBps);
        if (sellerBondsBps > EscrowMath.WHOLE_BPS) revert InvalidSplit(sellerBondsBps);
        uint256 since = _loadDisputed(trade);
        if (msg.sender != trade.arbitrator) revert NotArbitrator(trade.ticket, msg.sender);
        _requireBefore(trade.ticket, since + ARBITRATION_S);
        uint256 sellerQuote = EscrowMath.sellerPart(2 * trade.bondAmount, sellerBondsBps);
        _recordLoss(trade, trade.seller, EscrowMath.lostOf(trade.bondAmount, sellerQuote));
        _recordLoss(trade, trade.buyer, EscrowMath.lostOf(trade.bondAmount, 2 * trade.bondAmount - sellerQuote));
        _resolve(trade, EscrowMath.sellerPart(trade.baseAmount, sellerBaseBps), sellerQuote, false);
    }

    /// @inheritdoc IOrrangeEscrow
    function resolveByDefault(OpenedTrade calldata trade) external {
        _requireFrom(trade.ticket, _loadDisputed(trade) + ARBITRATION_S);
        _resolve(trade, EscrowMath.sellerPart(trade.baseAmount, HALF_BPS), trade.bondAmount, true);
    }

    /// @inheritdoc IOrrangeEscrow
    function recordOf(TicketDigest ticket) external view returns (EscrowState state, uint64 since, bytes26 commitment) {
        Record storage record = _records[ticket];
        return (record.state, record.since, record.commitment);
    }

    /// @inheritdoc IOrrangeEscrow
    function vault() external view returns (IOrrangeVault) {
        return VAULT;
    }

    /// @inheritdoc IOrrangeEscrow
    function settlement() external view returns (address) {
        return SETTLEMENT;
    }

    /// @inheritdoc IOrrangeEscrow
    function graceS() external view returns (uint64) {
        return GRACE_S;
    }

    /// @inheritdoc IOrrangeEscrow
    function payS() external view returns (uint64) {
        return PAY_S;
    }

    /// @inheritdoc IOrrangeEscrow
    function confirmS() external view returns (uint64) {
        return CONFIRM_S;
    }

    /// @inheritdoc IOrrangeEscrow
    function arbitrationS() external view returns (uint64) {
        return ARBITRATION_S;
    }

    /// @inheritdoc IOrrangeEscrow
    function disputeDue() external view returns (uint96) {
        return DISPUTE_DUE;
    }

    /// @dev The record without its commitment, which must be that of the terms: no terms have that of None, which is zero.
    function _load(OpenedTrade calldata trade) private view returns (EscrowState state, uint256 since) {
        Record storage record = _records[trade.ticket];
        if (record.commitment != _commitment(trade)) revert WrongTerms(trade.ticket);
        return (record.state, record.since);
    }

    function _loadDisputed(OpenedTrade calldata trade) private view returns (uint256) {
        (EscrowState state, uint256 since) = _load(trade);
        if (state != EscrowState.Disputed) revert WrongState(trade.ticket, state);
        return since;
    }

    function _enter(TicketDigest ticket, EscrowState state) private {
        Record storage record = _records[ticket];
        record.state = state;
        record.since = SafeCast.toUint40(block.timestamp);
    }

    function _resolve(OpenedTrade calldata trade, uint256 sellerBase, uint256 sellerQuote, bool isByDefault) private {
        _enter(trade.ticket, EscrowState.Resolved);
        emit DisputeResolved(trade.ticket, trade.seller, trade.buyer, sellerBase, sellerQuote, isByDefault);
        _pay(trade, sellerBase, sellerQuote);
    }

    /// @dev All of the base and of both bonds: what the seller does not get is the buyer's.
    function _pay(OpenedTrade calldata trade, uint256 sellerBase, uint256 sellerQuote) private {
        _credit(trade.base, trade.seller, sellerBase);
        _credit(trade.base, trade.buyer, trade.baseAmount - sellerBase);
        _credit(trade.quote, trade.seller, sellerQuote);
        _credit(trade.quote, trade.buyer, 2 * trade.bondAmount - sellerQuote);
    }

    function _credit(address token, address owner, uint256 amount) private {
        if (amount != 0) VAULT.release(token, owner, amount);
    }

    /// @dev Bonds in another token have no price here: they count by the part of the bond that was lost. Rounded up.
    function _recordLoss(OpenedTrade calldata trade, address owner, uint256 lost) private {
        if (lost == 0) return;
        uint256 amount = trade.quote == BOND_TOKEN
            ? Math.ceilDiv(lost, BOND_UNIT)
            : Math.mulDiv(lost, DISPUTE_DUE, trade.bondAmount, Math.Rounding.Ceil);
        emit DisputeLost(trade.ticket, owner, amount);
    }

    /// @dev What cancelling costs the buyer, if the caller may cancel now.
    function _penalty(OpenedTrade calldata trade, EscrowState state, uint256 since) private view returns (uint256) {
        if (state == EscrowState.Open) {
            // forge-lint: disable-next-line(block-timestamp)
            if (block.timestamp >= since + PAY_S) return trade.bondAmount;
            // forge-lint: disable-next-line(block-timestamp)
            if (block.timestamp < since + GRACE_S && _actsFor(trade.buyer)) return 0;
        }
        if (msg.sender != trade.buyer) revert NotBuyer(trade.ticket, msg.sender);
        return EscrowMath.halfBond(trade.bondAmount);
    }

    /// @dev Whether the caller is the owner or a living session of its own that may trade.
    function _actsFor(address owner) private view returns (bool) {
        if (msg.sender == owner) return true;
        Session memory session = VAULT.session(msg.sender);
        // forge-lint: disable-next-line(block-timestamp)
        bool isAlive = session.revokedAt == 0 && session.expiry > block.timestamp;
        return isAlive && session.isAuthorised(owner, Sessions.SCOPE_TRADE);
    }

    function _requireBefore(TicketDigest ticket, uint256 deadline) private view {
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp >= deadline) revert TooLate(ticket, deadline, block.timestamp);
    }

    function _requireFrom(TicketDigest ticket, uint256 availableAt) private view {
        // forge-lint: disable-next-line(block-timestamp)
        if (block.timestamp < availableAt) revert TooEarly(ticket, availableAt, block.timestamp);
    }

    function _isRunning(EscrowState state) private pure returns (bool) {
        return state == EscrowState.Open || state == EscrowState.Paid || state == EscrowState.Disputed;
    }

    function _isSound(OpenedTrade calldata trade) private pure returns (bool) {
        bool isArbitrated =
            trade.arbitrator != address(0) && trade.arbitrator != trade.seller && trade.arbitrator != trade.buyer;
        bool isSecured = trade.security != 0 && trade.security <= EscrowMath.MOST_SECURITY;
        return isArbitrated && isSecured && trade.seller != trade.buyer;
    }

    /// @dev bytes26(keccak256(abi.encode(trade))): the terms are static, so that they stand in the call as they encode.
    function _commitment(OpenedTrade calldata trade) private pure returns (bytes26) {
        bytes32 digest;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            calldatacopy(pointer, trade, TERMS_BYTES)
            digest := keccak256(pointer, TERMS_BYTES)
        }
        return bytes26(digest);
    }
}
