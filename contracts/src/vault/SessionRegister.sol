// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IOrrangeVault} from "../interfaces/IOrrangeVault.sol";
import {Sessions} from "../libraries/Sessions.sol";
import {Session, TokenCap} from "../types/OrrangeTypes.sol";

/// @title Register of session keys
/// @dev A session is one word, which settlement reads for both sides of every trade. A key serves one owner once.
abstract contract SessionRegister is IOrrangeVault {
    using Checkpoints for Checkpoints.Trace160;

    struct Record {
        address owner;
        uint8 scope;
        uint40 expiry; // unix seconds
        uint40 since; // authorised, or revoked if the mark says so: unix seconds
        uint8 marks;
    }

    struct Cap {
        uint128 limit; // zero for none
        uint128 spent; // never more than the limit, never less than before
    }

    uint8 private constant MARK_REVOKED = 1;
    uint8 private constant MARK_CAPPED = 2;

    mapping(address key => Record) private _sessions;
    mapping(address key => mapping(address token => Cap)) private _caps;
    mapping(address owner => Checkpoints.Trace160) private _revocations; // time to time, so that none hides an earlier one

    /// @inheritdoc IOrrangeVault
    function authoriseSession(address key, uint8 scope, uint64 expiry) external {
        _authorise(key, scope, expiry, 0);
    }

    /// @inheritdoc IOrrangeVault
    function authoriseCappedSession(address key, uint8 scope, uint64 expiry, TokenCap[] calldata caps) external {
        if (caps.length == 0) revert ZeroAmount();
        _authorise(key, scope, expiry, MARK_CAPPED);
        for (uint256 i = 0; i < caps.length; ++i) {
            TokenCap calldata given = caps[i];
            if (given.amount == 0) revert ZeroAmount();
            if (_caps[key][given.token].limit != 0) revert CapRepeated(key, given.token);
            _caps[key][given.token].limit = given.amount;
            emit SessionCapped(msg.sender, key, given.token, given.amount);
        }
    }

    /// @inheritdoc IOrrangeVault
    function revokeSession(address key) external {
        Record storage record = _sessions[key];
        if (record.owner != msg.sender) revert NotSessionOwner(key, msg.sender);
        uint256 revokedAt = _revokedAt(record);
        if (revokedAt != 0) revert SessionAlreadyRevoked(key, uint64(revokedAt));
        record.since = SafeCast.toUint40(block.timestamp);
        record.marks |= MARK_REVOKED;
        emit SessionRevoked(msg.sender, key);
    }

    /// @inheritdoc IOrrangeVault
    function revokeAllSessions() external {
        _revocations[msg.sender].push(uint96(block.timestamp), uint160(block.timestamp));
        emit AllSessionsRevoked(msg.sender);
    }

    /// @inheritdoc IOrrangeVault
    function session(address key) external view returns (Session memory) {
        return _session(key);
    }

    /// @inheritdoc IOrrangeVault
    function cap(address key, address token) external view returns (uint128 limit, uint128 spent) {
        Cap storage entry = _caps[key][token];
        return (entry.limit, entry.spent);
    }

    function _session(address key) internal view returns (Session memory) {
        Record storage record = _sessions[key];
        return Session({
            owner: record.owner,
            scope: record.scope,
            expiry: record.expiry,
            revokedAt: uint64(_revokedAt(record)),
            isCapped: record.marks & MARK_CAPPED != 0
        });
    }

    function _capLeft(address key, address token) internal view returns (uint256) {
        Cap storage entry = _caps[key][token];
        return entry.limit == 0 ? type(uint256).max : entry.limit - entry.spent;
    }

    /// @dev A zero key has no caps: nothing is written.
    function _countSpent(address key, address token, uint256 amount) internal {
        Cap storage entry = _caps[key][token];
        if (entry.limit == 0) return;
        uint256 left = entry.limit - entry.spent;
        if (amount > left) revert CapExceeded(key, token, left, amount);
        entry.spent += uint128(amount);
    }

    function _authorise(address key, uint8 scope, uint64 expiry, uint8 marks) private {
        if (key == address(0) || key == msg.sender) revert InvalidSession(key);
        if (scope == 0 || scope > Sessions.SCOPE_ALL) revert InvalidScope(scope);
        if (expiry <= block.timestamp) revert ExpiryPassed(expiry, block.timestamp);
        address holder = _sessions[key].owner;
        if (holder != address(0)) revert SessionTaken(key, holder);
        uint40 time = SafeCast.toUint40(block.timestamp);
        if (_revocations[msg.sender].lowerLookup(time) != 0) revert SessionsJustRevoked(msg.sender, time);
        _sessions[key] = Record(msg.sender, scope, SafeCast.toUint40(expiry), time, marks);
        emit SessionAuthorised(msg.sender, key, scope, expiry);
    }

    /// @dev The first of its own revocation and its owner's of all sessions that there were.
    function _revokedAt(Record storage record) private view returns (uint256) {
        if (record.marks & MARK_REVOKED != 0) return record.since;
        return _revocations[record.owner].lowerLookup(record.since);
    }
}
