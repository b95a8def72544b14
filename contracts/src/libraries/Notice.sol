// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title When what an owner undid is felt
library Notice {
    /// @notice Whether something undone at `at` (a session revoked, an order cancelled; unix seconds) still covers a ticket
    /// matched at `matched` that lives until `deadline`.
    /// @dev It is felt once every node has seen its block (`fundLag`) and no older ticket can still live (`ticketLife`);
    /// until then counterparties rely on what they saw in good faith.
    function covers(uint256 at, uint256 matched, uint256 deadline, uint256 fundLag, uint256 ticketLife)
        internal
        pure
        returns (bool)
    {
        uint256 seenBy = at + fundLag;
        return matched <= seenBy && deadline <= seenBy + ticketLife;
    }
}
