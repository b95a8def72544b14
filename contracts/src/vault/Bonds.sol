// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IOrrangeVault} from "../interfaces/IOrrangeVault.sol";
import {Balances} from "./Balances.sol";

/// @title Bonds: what an owner has to lose
/// @dev Whole micro-units of the fee token, so that nothing is rounded but the beneficiary's part of a slash.
abstract contract Bonds is Balances {
    struct Bond {
        uint96 bonded; // micro-units
        uint96 unbonding; // micro-units; slashed after what is bonded, until executed
        uint64 availableAt; // unix seconds
    }

    uint256 private constant WHOLE_BPS = 10_000;
    uint256 private constant MOST_SHARE_BPS = 5_000;

    address private immutable BOND_TOKEN;
    uint256 private immutable BOND_UNIT;
    uint64 private immutable UNBONDING_DELAY_S;

    mapping(address owner => Bond) private _bonds;

    constructor(address token, uint128 unit, uint64 unbondingDelayS) {
        if (unit == 0) revert ZeroAmount();
        BOND_TOKEN = token;
        BOND_UNIT = unit;
        UNBONDING_DELAY_S = unbondingDelayS;
    }

    /// @inheritdoc IOrrangeVault
    function bond(uint96 amount) external nonReentrant {
        _debitFree(BOND_TOKEN, amount * BOND_UNIT);
        Bond storage held = _bonds[msg.sender];
        held.bonded += amount;
        emit BondChanged(msg.sender, held.bonded);
    }

    /// @inheritdoc IOrrangeVault
    function requestUnbonding(uint96 amount) external nonReentrant {
        if (amount == 0) revert ZeroAmount();
        Bond storage held = _bonds[msg.sender];
        if (amount > held.bonded) revert InsufficientBond(msg.sender, held.bonded, amount);
        uint64 availableAt = SafeCast.toUint64(block.timestamp + UNBONDING_DELAY_S);
        held.bonded -= amount;
        held.unbonding += amount;
        held.availableAt = availableAt;
        emit BondChanged(msg.sender, held.bonded);
        emit UnbondingRequested(msg.sender, amount, availableAt);
    }

    /// @inheritdoc IOrrangeVault
    function executeUnbonding() external nonReentrant {
        Bond storage held = _bonds[msg.sender];
        uint96 amount = held.unbonding;
        if (amount == 0) revert NothingUnbonding(msg.sender);
        if (block.timestamp < held.availableAt) revert UnbondingTooEarly(held.availableAt, block.timestamp);
        held.unbonding = 0;
        held.availableAt = 0;
        _creditFree(msg.sender, BOND_TOKEN, amount * BOND_UNIT);
        emit UnbondingExecuted(msg.sender, amount);
    }

    /// @inheritdoc IOrrangeVault
    function bondOf(address owner) external view returns (uint96 bonded, uint96 unbonding, uint64 availableAt) {
        Bond storage held = _bonds[owner];
        return (held.bonded, held.unbonding, held.availableAt);
    }

    /// @inheritdoc IOrrangeVault
    function bondToken() external view returns (address) {
        return BOND_TOKEN;
    }

    /// @inheritdoc IOrrangeVault
    function bondUnit() external view returns (uint256) {
        return BOND_UNIT;
    }

    /// @inheritdoc IOrrangeVault
    function unbondingDelay() external view returns (uint64) {
        return UNBONDING_DELAY_S;
    }

    /// @dev The beneficiary's part is rounded down; the rest is nobody's. No token moves, so that no token can refuse.
    function _slash(address owner, uint256 amountDue, address beneficiary, uint256 shareBps)
        internal
        returns (uint256 taken)
    {
        if (shareBps > MOST_SHARE_BPS) revert ShareTooLarge(shareBps, MOST_SHARE_BPS);
        Bond storage held = _bonds[owner];
        uint256 fromBonded = Math.min(held.bonded, amountDue);
        uint256 fromUnbonding = Math.min(held.unbonding, amountDue - fromBonded);
        taken = fromBonded + fromUnbonding;
        if (taken == 0) return 0;
        held.bonded -= uint96(fromBonded);
        held.unbonding -= uint96(fromUnbonding);
        if (held.unbonding == 0) held.availableAt = 0;
        uint256 reward = (taken * shareBps) / WHOLE_BPS;
        _creditFree(beneficiary, BOND_TOKEN, reward * BOND_UNIT);
        _forget(BOND_TOKEN, (taken - reward) * BOND_UNIT);
        emit BondChanged(owner, held.bonded);
        emit BondSlashed(owner, beneficiary, taken, reward);
    }
}
