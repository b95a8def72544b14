// Payment instructions ([DM-1..3]): boxes as NaCl has them, from @noble's X25519, HSalsa20 and XSalsa20-Poly1305.
import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa";
import { x25519 } from "@noble/curves/ed25519";
import { bytesToHex, hexToBytes } from "viem";
import { decode, Refused } from "./cbor.js";

const NONCE_BYTES = 24;
const MAX_TEXT_BYTES = 1024;
const SIGMA = words(new TextEncoder().encode("expand 32-byte k"));

function words(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.byteLength / 4 }, (_, at) => view.getUint32(4 * at, true));
}

// The key that two parties have for their boxes: HSalsa20 of what X25519 gives them.
function boxKey(secret, publicKey) {
  const key = new Uint32Array(8);
  hsalsa(SIGMA, words(x25519.getSharedSecret(secret, publicKey)), new Uint32Array(4), key);
  const bytes = new Uint8Array(32);
  key.forEach((word, at) => new DataView(bytes.buffer).setUint32(4 * at, word, true));
  return bytes;
}

function opened(box, secret, publicKey) {
  const bytes = hexToBytes(box);
  try {
    const key = boxKey(hexToBytes(secret), hexToBytes(publicKey));
    return xsalsa20poly1305(key, bytes.subarray(0, NONCE_BYTES)).decrypt(bytes.subarray(NONCE_BYTES));
  } catch (error) {
    throw new Refused(`expected a box that opens: ${error.message}`);
  }
}

function checkText(hex) {
  if (typeof hex !== "string") throw new Refused("expected a text");
  const bytes = hexToBytes(hex);
  if (bytes.length < 1 || bytes.length > MAX_TEXT_BYTES) throw new Refused(`expected another size than ${bytes.length}`);
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused("expected UTF-8");
  }
  const isControl = (point) => (point < 0x20 && point !== 0x0a) || (point >= 0x7f && point <= 0x9f);
  if ([...text].some((one) => isControl(one.codePointAt(0)))) throw new Refused("expected no control characters");
}

// The text in a box that came for a ticket and version, as the bytes it is. [DM-1]
export function openBox({ readerSecret, writerKey, ticket, version, box }) {
  const fields = decode(bytesToHex(opened(box, readerSecret, writerKey)));
  if (!Array.isArray(fields) || fields.length !== 3) throw new Refused("expected three fields");
  if (fields[0] !== ticket || fields[1] !== version) throw new Refused("expected the frame's ticket and version");
  checkText(fields[2]);
  return fields[2];
}

// The version that a Receipt names, or null. [DM-2], [DM-3]
export function receiptFor({ role, isFromSeller, held, version }) {
  if (role === null) return null;
  if (role !== "buyer" || !isFromSeller) throw new Refused("expected Instructions from the seller to the buyer");
  return held > version ? held : version;
}

// Whether a Receipt answers what was sent. [DM-3]
export function checkReceiptOf({ ticket, version, receiptTicket, receiptVersion }) {
  if (receiptTicket !== ticket || receiptVersion < version) throw new Refused("expected a Receipt of what was sent");
}
