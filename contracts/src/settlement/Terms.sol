// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IOrrangeEscrow} from "../interfaces/IOrrangeEscrow.sol";
import {IOrrangeSettlement} from "../interfaces/IOrrangeSettlement.sol";
import {IOrrangeVault} from "../interfaces/IOrrangeVault.sol";
import {SettlementSettings, Trade} from "../types/OrrangeTypes.sol";
import {Trades} from "../libraries/Trades.sol";

/// @title What a settlement contract is made with, for ever: its neighbours, the network's clock, fees and penalties
abstract contract Terms is IOrrangeSettlement {
    using Trades for Trade;

    uint256 internal constant PPM = 1e6;
    uint32 private constant MOST_FEE_PPM = 10_000;
    uint256 private constant PENALTY_PARTS = 100;

    IOrrangeVault internal immutable VAULT;
    IOrrangeEscrow internal immutable ESCROW;
    uint64 private immutable GENESIS_MS;
    uint64 private immutable EPOCH_MS;
    uint64 internal immutable TICKET_LIFE_S;
    uint64 internal immutable FUND_LAG_S;
    uint32 private immutable FEE_PPM;
    uint32 private immutable SINK_SHARE_PPM;
    address internal immutable SINK;
    uint96 private immutable PENALTY;
    address private immutable FEE_TOKEN;
    uint256 private immutable FEE_TOKEN_UNIT;

    constructor(SettlementSettings memory settings) {
        IOrrangeVault vault_ = IOrrangeVault(settings.vault);
        if (settings.epochMs == 0 || settings.ticketLifeS == 0) revert ZeroDuration();
        if (vault_.settlement() != address(this)) revert ForeignVault(settings.vault, vault_.settlement());
        if (vault_.escrow() != settings.escrow) revert ForeignEscrow(settings.escrow, vault_.escrow());
        uint256 reach = uint256(settings.fundLagS) + settings.ticketLifeS;
        _requireAbove(vault_.deallocationDelay(), reach + settings.fundLagS);
        _requireAbove(vault_.unbondingDelay(), reach);
        if (settings.feePpm > MOST_FEE_PPM) revert FeeTooLarge(settings.feePpm, MOST_FEE_PPM);
        if (settings.sinkSharePpm > PPM) revert FeeTooLarge(settings.sinkSharePpm, PPM);
        VAULT = vault_;
        ESCROW = IOrrangeEscrow(settings.escrow);
        GENESIS_MS = settings.genesisMs;
        EPOCH_MS = settings.epochMs;
        TICKET_LIFE_S = settings.ticketLifeS;
        FUND_LAG_S = settings.fundLagS;
        FEE_PPM = settings.feePpm;
        SINK_SHARE_PPM = settings.sinkSharePpm;
        SINK = settings.sink;
        PENALTY = settings.penalty;
        FEE_TOKEN = vault_.bondToken();
        FEE_TOKEN_UNIT = vault_.bondUnit();
    }

    /// @inheritdoc IOrrangeSettlement
    function vault() external view returns (IOrrangeVault) {
        return VAULT;
    }

    /// @inheritdoc IOrrangeSettlement
    function escrow() external view returns (IOrrangeEscrow) {
        return ESCROW;
    }

    /// @inheritdoc IOrrangeSettlement
    function genesisMs() external view returns (uint64) {
        return GENESIS_MS;
    }

    /// @inheritdoc IOrrangeSettlement
    function epochMs() external view returns (uint64) {
        return EPOCH_MS;
    }

    /// @inheritdoc IOrrangeSettlement
    function ticketLifeS() external view returns (uint64) {
        return TICKET_LIFE_S;
    }

    /// @inheritdoc IOrrangeSettlement
    function fundLagS() external view returns (uint64) {
        return FUND_LAG_S;
    }

    /// @inheritdoc IOrrangeSettlement
    function feePpm() external view returns (uint32) {
        return FEE_PPM;
    }

    /// @inheritdoc IOrrangeSettlement
    function sinkSharePpm() external view returns (uint32) {
        return SINK_SHARE_PPM;
    }

    /// @inheritdoc IOrrangeSettlement
    function sink() external view returns (address) {
        return SINK;
    }

    /// @inheritdoc IOrrangeSettlement
    function penalty() external view returns (uint96) {
        return PENALTY;
    }

    /// @dev The start of an epoch in unix seconds, rounded down.
    function _matchedTime(uint256 epoch) internal view returns (uint256) {
        return (GENESIS_MS + epoch * EPOCH_MS) / 1000;
    }

    /// @dev What the seller does not get, rounded down for the seller, and the sink's part of it, for the submitter.
    function _fee(uint256 quoteAmount) internal view returns (uint256 fee, uint256 sinkFee) {
        if (FEE_PPM == 0) return (0, 0);
        fee = (quoteAmount * FEE_PPM) / PPM;
        sinkFee = (fee * SINK_SHARE_PPM) / PPM;
    }

    /// @dev An amount of a token in micro-units of the fee token, rounded down; zero if it is another token.
    function _micros(address token, uint256 amount) internal view returns (uint256) {
        return token == FEE_TOKEN ? amount / FEE_TOKEN_UNIT : 0;
    }

    /// @dev What a default costs, micro-units of the fee token: a hundredth of the notional, rounded down for the culprit, where
    /// that is in the fee token, and never less than the penalty.
    function _due(Trade calldata trade) internal view returns (uint256) {
        (, uint256 quoteAmount) = trade.amounts();
        return Math.max(PENALTY, _micros(trade.market.quote, quoteAmount) / PENALTY_PARTS);
    }

    function _requireAbove(uint256 delay, uint256 reach) private pure {
        if (delay <= reach) revert DelayTooShort(delay, reach + 1);
    }
}
