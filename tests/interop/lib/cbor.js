// Deterministic CBOR as [CBOR-1..4] have it. cbor-x reads and writes; it is lenient, so a walk over the heads goes
// first and refuses whatever is no unsigned integer, byte string, array or boolean with the shortest head. Read:
// integers are BigInt, byte strings lower-case hex with 0x, so that fixed lengths compare as bytes do.
import { Decoder, Encoder } from "cbor-x";
import { bytesToHex, hexToBytes } from "viem";

export class Refused extends Error {}

const MAX_DEPTH = 4;
const MAX_ELEMENTS = 32768n;
const FALSE = 0xf4;
const TRUE = 0xf5;
const OPTIONS = { useRecords: false, mapsAsObjects: false, tagUint8Array: false, variableMapSize: true };
const decoder = new Decoder(OPTIONS);
const encoder = new Encoder(OPTIONS);

// One head at `at`: its major type, argument and where it ends.
function head(bytes, at) {
  const first = bytes[at];
  if (first === undefined) throw new Refused("the bytes end before the item does");
  const major = first >> 5;
  const info = first & 31;
  if (info < 24) return { major, value: BigInt(info), end: at + 1, first };
  if (info > 27) throw new Refused(`expected a definite length, was additional information ${info}`);
  const size = 1 << (info - 24);
  if (at + 1 + size > bytes.length) throw new Refused("the bytes end inside a head");
  let value = 0n;
  for (let offset = 1; offset <= size; offset += 1) value = (value << 8n) | BigInt(bytes[at + offset]);
  const least = size === 1 ? 24n : 1n << BigInt(4 * size);
  if (value < least) throw new Refused(`expected the shortest head, was ${size} bytes for ${value}`);
  return { major, value, end: at + 1 + size, first };
}

// Walks over one item and returns where it ends; `seen` counts the elements of all arrays.
function walk(bytes, at, depth, seen) {
  const { major, value, end, first } = head(bytes, at);
  if (major === 0 || first === FALSE || first === TRUE) return end;
  if (major === 2) {
    if (value > BigInt(bytes.length - end)) throw new Refused("the bytes end inside a byte string");
    return end + Number(value);
  }
  if (major !== 4)
    throw new Refused(`expected an unsigned integer, bytes, an array or a boolean, was major type ${major}`);
  if (depth === MAX_DEPTH) throw new Refused(`expected arrays at most ${MAX_DEPTH} deep`);
  seen.elements += value;
  if (seen.elements > MAX_ELEMENTS) throw new Refused(`expected at most ${MAX_ELEMENTS} elements in all arrays`);
  let next = end;
  for (let count = 0n; count < value; count += 1n) next = walk(bytes, next, depth + 1, seen);
  return next;
}

function read(value) {
  if (Array.isArray(value)) return value.map(read);
  if (typeof value === "boolean") return value;
  return value instanceof Uint8Array ? bytesToHex(value) : BigInt(value);
}

function written(value) {
  if (Array.isArray(value)) return value.map(written);
  if (typeof value === "boolean") return value;
  if (typeof value === "string") return hexToBytes(value);
  // cbor-x writes larger numbers as floats, and BigInts as eight bytes.
  return value < 1n << 32n ? Number(value) : value;
}

export function encode(value) {
  return bytesToHex(new Uint8Array(encoder.encode(written(value))));
}

// Reads exactly one item from hex; throws Refused at any other bytes than those that writing it again gives.
export function decode(hex) {
  const bytes = hexToBytes(hex);
  if (walk(bytes, 0, 0, { elements: 0n }) !== bytes.length) throw new Refused("something follows the item");
  const value = read(decoder.decode(bytes));
  if (encode(value) !== hex) throw new Refused("other bytes than writing it again gives");
  return value;
}
