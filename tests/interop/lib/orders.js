// Which orders stand ([ORD-1..5]) and which are live ([ORD-6]).
import { standingItems } from "./feeds.js";

export const BUY = 0n;
export const FOK = 2n;
const GTC = 0n;
export const IOC = 1n;

function hasItsForm(order, entry, minFillLots) {
  const isOfFeed = order.market === entry.market && order.owner === entry.owner && order.session === entry.session;
  return isOfFeed && order.priceTicks >= 1n && order.quantityLots >= 1n && order.quantityLots >= minFillLots;
}

// What this version trades ([ORD-3], [ORD-4]).
function isTraded(order) {
  const isPlain = order.kind === 0n && !order.postOnly && order.minTier === 0n && order.security === 0n;
  if (!isPlain || order.paymentMethods.length > 0 || order.arbitrators.length > 0) return false;
  return order.tif === GTC || (order.tif === IOC && order.expiry !== 0n);
}

// The orders of a feed that are not void, in the order in which they stand.
export async function ordersOf(feed, minFillLots, signing) {
  const orders = new Map();
  let lastNonce = -1n;
  for (const { item, entry, place } of standingItems(feed)) {
    if (item.rule === "cancel" && orders.has(item.orderId)) orders.get(item.orderId).isCancelled = true;
    if (item.rule !== "order-item") continue;
    const { order, signature } = item;
    const isNext = order.nonce > lastNonce;
    if (isNext) lastNonce = order.nonce;
    if (!isNext || !hasItsForm(order, entry, minFillLots) || !isTraded(order)) continue;
    const id = signing.digest("Order", order);
    const signer = await signing.signer(id, signature);
    if (signer !== order.owner && signer !== order.session) continue;
    const isSessionSigned = signer !== order.owner;
    orders.set(id, { id, order, place, claimedEpoch: entry.epoch, isCancelled: false, isSessionSigned });
  }
  return [...orders.values()];
}

// Whether an order is live in an epoch, but for its free lots ([ORD-6]).
export function isStillOpen({ order, claimedEpoch, isCancelled }, epoch, epochStartS, k) {
  if (isCancelled || (order.expiry !== 0n && epochStartS >= order.expiry)) return false;
  return order.tif !== IOC || epoch < claimedEpoch + k;
}
