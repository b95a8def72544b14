// Typed data: digests of protocol/eip712.json's structs under a domain, and who signed them ([SIGN-1..3]). A message
// read by the schema has the struct's own member names, so it is hashed as it is.
import { ed25519 } from "@noble/curves/ed25519";
import { createPublicKey, verify } from "node:crypto";
import { concat, hashStruct, hashTypedData, hexToBigInt, hexToBytes, keccak256, recoverAddress, slice } from "viem";

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const ZERO_ADDRESS = `0x${"00".repeat(20)}`;
const ED25519_SPKI = "302a300506032b6570032100";
const PEER_ID_HEAD = "0x002408011220";

export class Signing {
  // `typed` is eip712.json.
  constructor(typed, { chainId, settlement }) {
    this.types = typed.types;
    this.domain = { ...typed.domain, chainId, verifyingContract: settlement };
    this.signers = new Map();
  }

  digest(primaryType, message) {
    return hashTypedData({ domain: this.domain, types: this.types, primaryType, message });
  }

  structHash(primaryType, data) {
    return hashStruct({ types: this.types, primaryType, data });
  }

  // Whom a signature over a digest recovers to, null if to nobody. Remembered, as feeds share entries between cases.
  async signer(digest, signature) {
    const key = digest + signature;
    if (!this.signers.has(key)) this.signers.set(key, await recover(digest, signature));
    return this.signers.get(key);
  }
}

export async function recover(digest, signature) {
  if (signature.length !== 2 + 2 * 65) return null;
  const [r, s, v] = [slice(signature, 0, 32), slice(signature, 32, 64), Number(slice(signature, 64))];
  if (v !== 27 && v !== 28) return null;
  if (hexToBigInt(r) === 0n || hexToBigInt(s) === 0n || hexToBigInt(s) > HALF_ORDER) return null;
  try {
    const address = (await recoverAddress({ hash: digest, signature: { r, s, yParity: v - 27 } })).toLowerCase();
    return address === ZERO_ADDRESS ? null : address;
  } catch {
    return null; // r is no point of the curve, or not below its order
  }
}

// Whether a peer id has the form of [TYPE-5] and its key signed the digest.
export function isSignedByPeer(peerId, digest, signature) {
  if (!peerId.startsWith(PEER_ID_HEAD)) return false;
  const raw = slice(peerId, 6);
  if (!isFullPoint(raw) || !isFullPoint(slice(signature, 0, 32))) return false;
  const key = createPublicKey({ key: Buffer.from(ED25519_SPKI + raw.slice(2), "hex"), format: "der", type: "spki" });
  return verify(null, hexToBytes(digest), key, hexToBytes(signature));
}

// Whether 32 bytes are the canonical form of a point that is not of small order.
function isFullPoint(hex) {
  try {
    return !ed25519.ExtendedPoint.fromHex(hex.slice(2), false).isSmallOrder();
  } catch {
    return false;
  }
}

export const itemsRoot = (items) => keccak256(concat(items.map((item) => keccak256(item))));
