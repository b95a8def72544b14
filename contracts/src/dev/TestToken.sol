// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token for development only: ANYONE MAY MINT, so it is worth nothing
contract TestToken is ERC20 {
    uint8 private immutable DECIMALS;

    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        DECIMALS = decimals_;
    }

    /// @notice Creates `amount` tokens for `to`; open to everybody on purpose.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Decimal places that wallets show.
    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }
}
