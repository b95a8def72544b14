// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {OpenedTrade} from "../../src/interfaces/IOrrangeEscrow.sol";

/// @dev Keeps the last trade that the settlement opened, and who said so.
contract RecordingEscrow {
    OpenedTrade private _opened;
    address public caller;
    uint256 public count;

    function open(OpenedTrade calldata trade) external {
        _opened = trade;
        caller = msg.sender;
        count += 1;
    }

    function opened() external view returns (OpenedTrade memory) {
        return _opened;
    }
}
