// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Blueprint, IOrrangeFactory} from "./interfaces/IOrrangeFactory.sol";

/// @title The factory of one network's contracts
/// @dev The contracts name each other in their constructors, so that CREATE2 alone cannot place them: each address would
/// be part of what it is the digest of. Here they follow from this contract's address and their place in the list
/// (a contract's n-th creation has nonce n), and this contract's address follows by CREATE2 from the list.
contract OrrangeFactory is IOrrangeFactory {
    /// @dev RLP writes a nonce up to here in one byte.
    uint256 private constant MAX_CONTRACTS = 127;

    uint256 private immutable CREATED_AT_BLOCK;

    Blueprint[] private _blueprints;
    uint256 private _deployed;

    constructor(Blueprint[] memory blueprints_) {
        CREATED_AT_BLOCK = block.number;
        uint256 count = blueprints_.length;
        if (count == 0 || count > MAX_CONTRACTS) revert ContractCount(count, MAX_CONTRACTS);
        for (uint256 i = 0; i < count; ++i) {
            _checkReferences(i, blueprints_[i], count);
            _blueprints.push(blueprints_[i]);
        }
    }

    /// @inheritdoc IOrrangeFactory
    function deploy(uint256 index, bytes calldata creationCode) external returns (address created) {
        uint256 next = _deployed;
        if (index != next || next == _blueprints.length) revert WrongIndex(next, index);
        bytes32 codeHash = keccak256(creationCode);
        Blueprint storage blueprint = _blueprints[index];
        if (codeHash != blueprint.codeHash) revert WrongCode(index, blueprint.codeHash, codeHash);
        _deployed = next + 1;
        created = _create(bytes.concat(creationCode, _arguments(blueprint)));
        emit ContractDeployed(index, created);
    }

    /// @inheritdoc IOrrangeFactory
    function arguments(uint256 index) external view returns (bytes memory) {
        return _arguments(_blueprints[index]);
    }

    /// @inheritdoc IOrrangeFactory
    function blueprints() external view returns (Blueprint[] memory) {
        return _blueprints;
    }

    /// @inheritdoc IOrrangeFactory
    function deployed() external view returns (uint256) {
        return _deployed;
    }

    /// @inheritdoc IOrrangeFactory
    function createdAtBlock() external view returns (uint256) {
        return CREATED_AT_BLOCK;
    }

    /// @inheritdoc IOrrangeFactory
    function addressOf(uint256 index) public view returns (address) {
        if (index >= _blueprints.length) revert WrongIndex(_blueprints.length - 1, index);
        // RLP of [this, nonce]: a list of 22 bytes, a string of 20, one small number.
        bytes32 digest = keccak256(abi.encodePacked(hex"d694", address(this), SafeCast.toUint8(index + 1)));
        return address(uint160(uint256(digest)));
    }

    function _arguments(Blueprint storage blueprint) private view returns (bytes memory encoded) {
        uint256 count = blueprint.words.length;
        bytes32[] memory words = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 word = blueprint.words[i];
            words[i] =
                _isReference(blueprint.references, i) ? bytes32(uint256(uint160(addressOf(uint256(word))))) : word;
        }
        return abi.encodePacked(words);
    }

    function _create(bytes memory initCode) private returns (address created) {
        assembly ("memory-safe") {
            created := create(0, add(initCode, 32), mload(initCode))
            if iszero(created) {
                // The constructor's own reason.
                let pointer := mload(0x40)
                returndatacopy(pointer, 0, returndatasize())
                revert(pointer, returndatasize())
            }
        }
    }

    function _checkReferences(uint256 index, Blueprint memory blueprint, uint256 count) private pure {
        uint256 words = blueprint.words.length;
        if (words > 256) revert WrongReference(index, words);
        if (words < 256 && blueprint.references >> words != 0) revert WrongReference(index, words);
        for (uint256 i = 0; i < words; ++i) {
            bool isUnknown = _isReference(blueprint.references, i) && uint256(blueprint.words[i]) >= count;
            if (isUnknown) revert WrongReference(index, i);
        }
    }

    function _isReference(uint256 references, uint256 word) private pure returns (bool) {
        return (references >> word) & 1 == 1;
    }
}
