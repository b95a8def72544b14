// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Reads the CBOR that protocol/vectors nest (spec 01-types [CBOR-1]); of what is no such thing it reverts.
library SlasherCbor {
    struct Reader {
        bytes data;
        uint256 at;
    }

    function list(Reader memory reader) internal pure returns (uint256 count) {
        return _head(reader, 4);
    }

    function number(Reader memory reader) internal pure returns (uint64) {
        return uint64(_head(reader, 0));
    }

    function text(Reader memory reader) internal pure returns (bytes memory value) {
        value = new bytes(_head(reader, 2));
        for (uint256 i = 0; i < value.length; ++i) {
            value[i] = _next(reader);
        }
    }

    function word(Reader memory reader) internal pure returns (bytes32) {
        bytes memory value = text(reader);
        require(value.length == 32, "expected 32 bytes");
        return bytes32(value);
    }

    function account(Reader memory reader) internal pure returns (address) {
        bytes memory value = text(reader);
        require(value.length == 20, "expected 20 bytes");
        return address(bytes20(value));
    }

    function flag(Reader memory reader) internal pure returns (bool) {
        uint8 value = uint8(_next(reader));
        require(value == 0xf4 || value == 0xf5, "expected true or false");
        return value == 0xf5;
    }

    function _head(Reader memory reader, uint8 major) private pure returns (uint256 value) {
        uint8 first = uint8(_next(reader));
        require(first >> 5 == major, "expected another type");
        value = first & 31;
        if (value < 24) return value;
        uint256 size = 1 << (value - 24);
        value = 0;
        for (uint256 i = 0; i < size; ++i) {
            value = (value << 8) | uint8(_next(reader));
        }
    }

    function _next(Reader memory reader) private pure returns (bytes1) {
        return reader.data[reader.at++];
    }
}
