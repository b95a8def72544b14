// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IOrrangeSwap} from "../../src/interfaces/IOrrangeSwap.sol";

/// @dev Delivers to nobody on its list, as stablecoins with a blocklist do.
contract BlockingToken is ERC20("Blocking", "BLK") {
    error Blocked(address account);

    mapping(address account => bool) public isBlocked;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setBlocked(address account, bool value) external {
        isBlocked[account] = value;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (isBlocked[to]) revert Blocked(to);
        super._update(from, to, amount);
    }
}

/// @dev Every balance is a share of a supply that somebody else halves.
contract ShrinkingToken is ERC20("Shrinking", "SHR") {
    uint256 private _divisor = 1;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function halve() external {
        _divisor *= 2;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) / _divisor;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount * _divisor);
    }
}

/// @dev A wallet contract that, on receiving the coin, tries to withdraw once more, and remembers what it was told.
contract GreedyWallet {
    IOrrangeSwap private immutable SWAP;
    bool public isAnswered;
    bytes public answer;

    constructor(IOrrangeSwap swap_) {
        SWAP = swap_;
    }

    function withdraw(uint256 amount) external {
        SWAP.withdraw(address(0), amount);
    }

    receive() external payable {
        (bool success, bytes memory result) =
            address(SWAP).call(abi.encodeCall(IOrrangeSwap.withdraw, (address(0), msg.value)));
        isAnswered = !success;
        answer = result;
    }
}

/// @dev A contract that takes no coin.
contract ClosedWallet {
    function withdraw(IOrrangeSwap swap, uint256 amount) external {
        swap.withdraw(address(0), amount);
    }
}
