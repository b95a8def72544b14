// codec/: which bytes are read, which are refused, whom signatures recover to.
import { decode, encode, Refused } from "../lib/cbor.js";
import { recover } from "../lib/eip712.js";
import { readMessage } from "../lib/messages.js";
import { hasForm, same } from "../lib/vectors.js";

// Whether reading succeeds; anything but a refusal is a bug of this program.
function isRead(read) {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

export function checkCbor(one) {
  hasForm("a case", one, "name", "encoded", "refused");
  same(
    "is read",
    one.refused === null,
    isRead(() => decode(one.encoded)),
  );
}

export function checkMessage(one, { schema }) {
  hasForm("a case", one, "name", "message", "encoded", "refused");
  const rule = one.message.replaceAll("_", "-");
  same(
    "is read",
    one.refused === null,
    isRead(() => readMessage(schema, rule, one.encoded)),
  );
  if (one.refused === null) same("written again", one.encoded, encode(decode(one.encoded)));
}

// The bytes that pieces come to, each as often as it says.
const joined = (pieces) =>
  pieces.map(([one, times]) => (Array.isArray(one) ? joined(one) : one.slice(2)).repeat(Number(times))).join("");

export function checkLimit({ name, message, pieces, refused, ...more }, world) {
  checkMessage({ name, message, encoded: `0x${joined(pieces)}`, refused, ...more }, world);
}

export async function checkSignature(one) {
  hasForm("a case", one, "name", "digest", "signature", "signer");
  same("signer", one.signer, await recover(one.digest, one.signature));
}
