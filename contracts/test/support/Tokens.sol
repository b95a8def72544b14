// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev Keeps one percent of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, amount);
        uint256 fee = amount / 100;
        super._update(from, address(0xfee), fee);
        super._update(from, to, amount - fee);
    }
}

/// @dev Says false where others revert, once told to fail.
contract FalseToken is ERC20("False", "FALSE") {
    bool public isFailing;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFailing(bool value) external {
        isFailing = value;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !isFailing && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !isFailing && super.transferFrom(from, to, amount);
    }
}

/// @dev Returns nothing at all, as some old tokens do.
contract SilentToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev Reports any balance it is told to and moves nothing.
contract LyingToken {
    uint256 public reported;
    uint256 public reportedAfter;

    function setReports(uint256 first, uint256 second) external {
        reported = first;
        reportedAfter = second;
    }

    function balanceOf(address) external view returns (uint256) {
        return reported;
    }

    function transferFrom(address, address, uint256) external returns (bool) {
        reported = reportedAfter;
        return true;
    }
}

/// @dev Calls back, from inside its transfer, whatever it is told to, as itself, and passes a failure on.
contract ReentrantToken is ERC20("Reentrant", "RE") {
    address private _target;
    bytes private _call;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(address target, bytes calldata call_) external {
        _target = target;
        _call = call_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_target == address(0)) return;
        (bool success, bytes memory result) = _target.call(_call);
        if (success) return;
        assembly ("memory-safe") {
            revert(add(result, 32), mload(result))
        }
    }
}
