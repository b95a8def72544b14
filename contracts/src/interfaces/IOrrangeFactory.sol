// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice A contract to be: the keccak256 of its creation code, and its constructor's arguments as 32-byte words.
/// Where bit n of `references` is set, word n is an index in the list of blueprints and stands for that contract's
/// address.
struct Blueprint {
    bytes32 codeHash;
    uint256 references;
    bytes32[] words;
}

/// @title Deploys the contracts of one network, whoever pays for it
/// @notice The list is fixed at construction: the code, the order and the arguments of every contract. Anyone may do the
/// next step, and nobody can do another one. There is no owner, and nothing is left to do after the last contract.
interface IOrrangeFactory {
    /// @notice The contract of this place in the list stands.
    event ContractDeployed(uint256 indexed index, address indexed created);

    /// @notice A list of none, or of more than addresses can be computed for.
    error ContractCount(uint256 count, uint256 limit);
    /// @notice A word refers to no contract of the list, or a bit to no word.
    error WrongReference(uint256 index, uint256 word);
    /// @notice It is another contract's turn, or (the number of contracts expected) nobody's.
    error WrongIndex(uint256 expected, uint256 index);
    /// @notice This is not the code that the list names.
    error WrongCode(uint256 index, bytes32 expected, bytes32 codeHash);

    /// @notice Deploys contract `index`, which must be the next one, from exactly its creation code.
    function deploy(uint256 index, bytes calldata creationCode) external returns (address created);

    /// @notice Where contract `index` stands, or will stand.
    function addressOf(uint256 index) external view returns (address);

    /// @notice The constructor's arguments of contract `index`, as explorers want them.
    function arguments(uint256 index) external view returns (bytes memory);

    /// @notice The whole list.
    function blueprints() external view returns (Blueprint[] memory);

    /// @notice How many contracts of the list stand.
    function deployed() external view returns (uint256);

    /// @notice The block that this contract was created in, as the chain numbers it: no event of the network is older.
    function createdAtBlock() external view returns (uint256);
}
