// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IOrrangeSettlement} from "../interfaces/IOrrangeSettlement.sol";
import {Notice} from "../libraries/Notice.sol";
import {Order, OrderId} from "../types/OrrangeTypes.sol";
import {Digests} from "./Digests.sol";
import {Terms} from "./Terms.sol";

/// @title What is left of orders: lots that settled, and orders that their owners cancelled on the chain
abstract contract Cancels is Digests, Terms {
    /// @dev One word, read for every order that settles.
    struct Progress {
        uint64 filledLots;
        uint40 cancelledAt; // unix seconds, zero until cancelled
    }

    /// @dev Orders below `deadBelow` are void whenever they matched; those below `voidBelow` from `at` on.
    struct Floor {
        uint64 deadBelow; // order nonce
        uint64 voidBelow; // order nonce, never less than `deadBelow`
        uint40 at; // unix seconds
    }

    mapping(OrderId order => Progress) internal _progress;
    mapping(address owner => mapping(address session => Floor)) private _floors;

    /// @inheritdoc IOrrangeSettlement
    function cancel(Order calldata order) external {
        if (msg.sender != order.owner) revert NotOrderOwner(order.owner, msg.sender);
        OrderId id = orderId(order);
        Progress storage progress = _progress[id];
        if (progress.cancelledAt != 0) revert AlreadyCancelled(id, progress.cancelledAt);
        progress.cancelledAt = SafeCast.toUint40(block.timestamp);
        emit OrderCancelled(id, msg.sender, order.session);
    }

    /// @inheritdoc IOrrangeSettlement
    function cancelUpTo(address session, uint64 nonce) external {
        Floor memory floor = _floors[msg.sender][session];
        if (nonce < floor.voidBelow || nonce == type(uint64).max) {
            revert NothingToCancel(session, nonce, floor.voidBelow);
        }
        if (floor.at != block.timestamp) {
            // A ticket that the last call covers has a deadline of at most that; only after it is the last call forgotten.
            uint256 openUntil = floor.at == 0 ? 0 : uint256(floor.at) + FUND_LAG_S + TICKET_LIFE_S;
            if (block.timestamp <= openUntil) revert CancelTooSoon(openUntil + 1, block.timestamp);
            floor.deadBelow = floor.voidBelow;
        }
        floor.voidBelow = nonce + 1;
        floor.at = SafeCast.toUint40(block.timestamp);
        _floors[msg.sender][session] = floor;
        emit OrdersCancelled(msg.sender, session, nonce);
    }

    /// @inheritdoc IOrrangeSettlement
    function filledLots(OrderId order) external view returns (uint256) {
        return _progress[order].filledLots;
    }

    /// @inheritdoc IOrrangeSettlement
    function cancelledAt(OrderId order) external view returns (uint256) {
        return _progress[order].cancelledAt;
    }

    /// @inheritdoc IOrrangeSettlement
    function floorOf(address owner, address session)
        external
        view
        returns (uint64 deadBelow, uint64 voidBelow, uint40 at)
    {
        Floor storage floor = _floors[owner][session];
        return (floor.deadBelow, floor.voidBelow, floor.at);
    }

    /// @dev Whether a ticket of this order, matched at `matched`, came too late for what its owner cancelled.
    function _isCancelled(Order calldata order, Progress memory progress, uint256 matched, uint256 deadline)
        internal
        view
        returns (bool)
    {
        if (progress.cancelledAt != 0 && !_covers(progress.cancelledAt, matched, deadline)) return true;
        Floor memory floor = _floors[order.owner][order.session];
        if (order.nonce < floor.deadBelow) return true;
        return order.nonce < floor.voidBelow && !_covers(floor.at, matched, deadline);
    }

    function _covers(uint256 at, uint256 matched, uint256 deadline) private view returns (bool) {
        return Notice.covers(at, matched, deadline, FUND_LAG_S, TICKET_LIFE_S);
    }
}
