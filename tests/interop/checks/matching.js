// matching/: pieces and window digests of books.
import { entitlements, windowDigest } from "../lib/matching.js";
import { hasForm, same } from "../lib/vectors.js";

const FORM = ["name", "market", "epoch", "block", "orders", "assignment", "skips", "pieces", "windowDigest"];

export function checkMatching(one) {
  hasForm("a case", one, ...FORM);
  for (const row of one.orders) hasForm("a row", row, "orderId", "order", "claimedEpoch", "free", "isMatchable");
  same("pieces", one.pieces, entitlements(one));
  same("window digest", one.windowDigest, windowDigest(one));
}
