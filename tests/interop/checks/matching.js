// matching/: pieces and window digests of books.
import { entitlements, windowDigest } from "../lib/matching.js";
import { Clock } from "../lib/chain.js";
import { periodOf } from "../lib/period.js";
import { hasForm, same } from "../lib/vectors.js";

const GIVEN = ["market", "epoch", "block", "orders", "assignment", "absent", "skips", "beacon", "tiers", "bonded", "w"];

export function checkMatching(one) {
  hasForm("a case", one, "name", ...GIVEN, "pieces", "windowDigest");
  for (const row of one.orders) hasForm("a row", row, "orderId", "order", "placedEpoch", "free", "isMatchable");
  const tiers = new Map(one.tiers);
  const window = {
    ...one,
    effective: new Map(one.assignment),
    absent: new Set(one.absent),
    tierOf: (owner) => tiers.get(owner) ?? 0n,
    isUnbonded: (owner) => one.bonded !== null && !one.bonded.includes(owner),
  };
  same("pieces", one.pieces, entitlements(window));
  same("window digest", one.windowDigest, windowDigest(window));
}

export function checkPeriod(one) {
  hasForm("a case", one, "name", "constants", "genesisMs", "market", "blocks", "epoch", "period");
  same("period", one.period, periodOf(one, new Clock(one.constants, one.genesisMs)));
}
