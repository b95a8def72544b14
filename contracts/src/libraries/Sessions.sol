// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Session} from "../types/OrrangeTypes.sol";
import {Notice} from "./Notice.sol";

/// @title What a session key may do, and until when
library Sessions {
    uint8 internal constant SCOPE_TICKET = 1;
    uint8 internal constant SCOPE_TRADE = 2;
    uint8 internal constant SCOPE_ALL = SCOPE_TICKET | SCOPE_TRADE;

    /// @notice Whether `owner` let this session act with `scope`, whenever that holds.
    function isAuthorised(Session memory session, address owner, uint8 scope) internal pure returns (bool) {
        return session.owner == owner && session.scope & scope != 0;
    }

    /// @notice Whether a ticket matched at `matched` and living until `deadline` falls into the session's life.
    function isAlive(Session memory session, uint256 matched, uint256 deadline, uint256 fundLag, uint256 ticketLife)
        internal
        pure
        returns (bool)
    {
        if (session.expiry <= matched) return false;
        return session.revokedAt == 0 || Notice.covers(session.revokedAt, matched, deadline, fundLag, ticketLife);
    }
}
