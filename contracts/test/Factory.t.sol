// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {OrrangeFactory} from "../src/OrrangeFactory.sol";
import {Blueprint, IOrrangeFactory} from "../src/interfaces/IOrrangeFactory.sol";

/// @dev Two contracts that name each other; the second insists on it.
contract Left {
    address public immutable RIGHT;
    uint64 public immutable NUMBER;

    constructor(address right_, uint64 number_) {
        RIGHT = right_;
        NUMBER = number_;
    }
}

contract Right {
    error NotMyLeft(address left, address itsRight);

    Left public immutable LEFT;

    constructor(uint256, Left left_) {
        if (left_.RIGHT() != address(this)) revert NotMyLeft(address(left_), left_.RIGHT());
        LEFT = left_;
    }
}

contract Alone {
    uint256 public constant MARK = 7;
}

contract Silent {
    constructor() {
        assembly ("memory-safe") {
            revert(0, 0)
        }
    }
}

contract FactoryTest is Test {
    uint64 private constant NUMBER = 42;
    address private constant PROXY = 0x4e59b44847b379578588920cA78FbF26c0B4956C;

    // what the constructor refuses

    function test_anEmptyListIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.ContractCount.selector, 0, 127));
        new OrrangeFactory(new Blueprint[](0));
    }

    function test_aListBeyondOneByteNoncesIsRefused() public {
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.ContractCount.selector, 128, 127));
        new OrrangeFactory(new Blueprint[](128));
    }

    function test_aReferenceOutOfTheListIsRefused() public {
        Blueprint[] memory list = _list();
        list[1].words[1] = bytes32(uint256(3));
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongReference.selector, 1, 1));
        new OrrangeFactory(list);
    }

    function test_aReferenceToNoWordIsRefused() public {
        Blueprint[] memory list = _list();
        list[0].references |= 4;
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongReference.selector, 0, 2));
        new OrrangeFactory(list);
    }

    function test_moreWordsThanBitsAreRefused() public {
        Blueprint[] memory list = _list();
        list[2].words = new bytes32[](257);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongReference.selector, 2, 257));
        new OrrangeFactory(list);
        list[2].words = new bytes32[](256);
        list[2].references = 1 << 255;
        new OrrangeFactory(list);
    }

    // what a step refuses

    function test_onlyTheNextContractIsDeployed() public {
        OrrangeFactory factory = new OrrangeFactory(_list());
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongIndex.selector, 0, 1));
        factory.deploy(1, type(Right).creationCode);
        factory.deploy(0, type(Left).creationCode);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongIndex.selector, 1, 0));
        factory.deploy(0, type(Left).creationCode);
    }

    function test_onlyTheNamedCodeIsDeployed() public {
        OrrangeFactory factory = new OrrangeFactory(_list());
        bytes memory other = bytes.concat(type(Left).creationCode, hex"00");
        vm.expectRevert(
            abi.encodeWithSelector(
                IOrrangeFactory.WrongCode.selector, 0, keccak256(type(Left).creationCode), keccak256(other)
            )
        );
        factory.deploy(0, other);
        assertEq(factory.deployed(), 0);
    }

    function test_afterTheLastNothingIsLeft() public {
        OrrangeFactory factory = new OrrangeFactory(_list());
        _deployAll(factory);
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongIndex.selector, 3, 3));
        factory.deploy(3, type(Alone).creationCode);
    }

    /// @dev A refusal moves nothing on: neither the turn nor the nonce that addresses follow from.
    function test_aConstructorsRefusalComesThroughAndChangesNothing() public {
        Blueprint[] memory list = _list();
        list[0].words[0] = bytes32(uint256(2)); // Left names Alone
        OrrangeFactory factory = new OrrangeFactory(list);
        address left = factory.deploy(0, type(Left).creationCode);
        vm.expectRevert(abi.encodeWithSelector(Right.NotMyLeft.selector, left, factory.addressOf(2)));
        factory.deploy(1, type(Right).creationCode);
        assertEq(factory.deployed(), 1);
        assertEq(vm.getNonce(address(factory)), 2);
    }

    function test_aRefusalWithoutAReasonIsStillARefusal() public {
        Blueprint[] memory list = new Blueprint[](1);
        list[0] = Blueprint(keccak256(type(Silent).creationCode), 0, new bytes32[](0));
        OrrangeFactory factory = new OrrangeFactory(list);
        vm.expectRevert(bytes(""));
        factory.deploy(0, type(Silent).creationCode);
        assertEq(factory.deployed(), 0);
    }

    function test_placesOutsideTheListHaveNoAddress() public {
        OrrangeFactory factory = new OrrangeFactory(_list());
        vm.expectRevert(abi.encodeWithSelector(IOrrangeFactory.WrongIndex.selector, 2, 3));
        factory.addressOf(3);
    }

    // what works

    function test_contractsThatNameEachOtherStandWhereForetold() public {
        OrrangeFactory factory = new OrrangeFactory(_list());
        address[3] memory foretold = [factory.addressOf(0), factory.addressOf(1), factory.addressOf(2)];
        _deployAll(factory);
        assertEq(Left(foretold[0]).RIGHT(), foretold[1]);
        assertEq(Left(foretold[0]).NUMBER(), NUMBER);
        assertEq(address(Right(foretold[1]).LEFT()), foretold[0]);
        assertEq(Alone(foretold[2]).MARK(), 7);
        assertEq(factory.deployed(), 3);
        assertEq(factory.arguments(0), abi.encode(foretold[1], NUMBER));
        assertEq(factory.arguments(1), abi.encode(1, foretold[0]));
        assertEq(factory.arguments(2), "");
        assertEq(abi.encode(factory.blueprints()), abi.encode(_list()));
    }

    function test_itRemembersItsBlock() public {
        vm.roll(123_456);
        OrrangeFactory factory = new OrrangeFactory(_list());
        vm.roll(123_999);
        assertEq(factory.createdAtBlock(), 123_456);
    }

    function test_addressesOfAFullListAreThoseOfItsNonces() public {
        OrrangeFactory factory = new OrrangeFactory(new Blueprint[](127));
        for (uint256 i = 0; i < 127; ++i) {
            assertEq(factory.addressOf(i), vm.computeCreateAddress(address(factory), i + 1));
        }
    }

    /// @dev As on a real chain: through the well known proxy, by nobody in particular, each step by somebody else.
    function test_strangersFinishWhatSomebodyBegan() public {
        bytes memory initCode = bytes.concat(type(OrrangeFactory).creationCode, abi.encode(_list()));
        address foretold = vm.computeCreate2Address(0, keccak256(initCode), PROXY);
        (bool success,) = PROXY.call(bytes.concat(bytes32(0), initCode));
        assertTrue(success);
        OrrangeFactory factory = OrrangeFactory(foretold);
        bytes[3] memory codes = [type(Left).creationCode, type(Right).creationCode, type(Alone).creationCode];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectEmit(foretold);
            emit IOrrangeFactory.ContractDeployed(i, factory.addressOf(i));
            vm.prank(address(uint160(1000 + i)));
            factory.deploy(i, codes[i]);
        }
        (success,) = PROXY.call(bytes.concat(bytes32(0), initCode));
        assertFalse(success, "the same list a second time");
    }

    function _deployAll(OrrangeFactory factory) private {
        factory.deploy(0, type(Left).creationCode);
        factory.deploy(1, type(Right).creationCode);
        factory.deploy(2, type(Alone).creationCode);
    }

    function _list() private pure returns (Blueprint[] memory list) {
        list = new Blueprint[](3);
        bytes32[] memory left = new bytes32[](2);
        (left[0], left[1]) = (bytes32(uint256(1)), bytes32(uint256(NUMBER)));
        bytes32[] memory right = new bytes32[](2);
        (right[0], right[1]) = (bytes32(uint256(1)), bytes32(uint256(0)));
        list[0] = Blueprint(keccak256(type(Left).creationCode), 1, left);
        list[1] = Blueprint(keccak256(type(Right).creationCode), 2, right);
        list[2] = Blueprint(keccak256(type(Alone).creationCode), 0, new bytes32[](0));
    }
}
