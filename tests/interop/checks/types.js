// types/: amounts, times, constants, roots, peer signatures, topics and frames of 01-types.
import { numberToHex } from "viem";
import { Clock } from "../lib/chain.js";
import { isSignedByPeer, itemsRoot } from "../lib/eip712.js";
import { baseAmount, quoteAmount } from "../lib/lanes.js";
import { MAX_BYTES } from "../lib/messages.js";
import { hasForm, same } from "../lib/vectors.js";

export function checkAmounts(one) {
  hasForm("a case", one, "name", "lotSize", "tickSize", "priceTicks", "lots", "baseAmount", "quoteAmount");
  same("base amount", one.baseAmount, baseAmount(one, one.lots));
  same("quote amount", one.quoteAmount, quoteAmount(one, one.priceTicks, one.lots));
}

export function checkTimes(one) {
  hasForm("a case", one, "name", "epochMs", "genesisMs", "epoch", "startMs", "startS");
  const clock = new Clock({ epochMs: one.epochMs }, one.genesisMs);
  same("start", [one.startMs, one.startS], [clock.startMs(one.epoch), clock.startS(one.epoch)]);
}

export function checkConstants(one) {
  hasForm("a case", one, "name", "constants", "isConsistent");
  const { epochMs, graceMs, tAckMs, wait, k, w, presenceS, deadS, periodS, beaconLagS, lFund } = one.constants;
  const isFirst = tAckMs <= wait * epochMs && k * epochMs >= graceMs + 4n * tAckMs && w >= wait + 8n;
  const isSecond = deadS >= 3n * presenceS && (periodS * 1000n) % epochMs === 0n && beaconLagS >= lFund;
  same("is consistent", one.isConsistent, isFirst && isSecond);
}

export function checkRoots(one) {
  hasForm("a case", one, "name", "items", "root");
  same("root", one.root, itemsRoot(one.items));
}

export function checkPeerSignature(one) {
  hasForm("a case", one, "name", "peerId", "digest", "signature", "isGood");
  same("is good", one.isGood, isSignedByPeer(one.peerId, one.digest, one.signature));
}

export function checkTopic(one) {
  hasForm("a case", one, "name", "market", "topic");
  same("topic", one.topic, `/orrange/1/${one.market.slice(2)}`);
}

export function checkFrame(one) {
  hasForm("a case", one, "name", "protocol", "length", "head");
  const rule = {
    "/orrange/ticket/1": "ticket-frame",
    "/orrange/sync/1": "sync-frame",
    "/orrange/dm/1": "direct-frame",
  }[one.protocol];
  const isShort = one.length <= BigInt(MAX_BYTES[rule]);
  same("head", one.head, isShort ? numberToHex(one.length, { size: 4 }) : null);
}
