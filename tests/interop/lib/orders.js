// Which orders have a form that stands ([ORD-1..5]), and until when they are open ([ORD-6]).
import { standingItems } from "./feeds.js";

export const BUY = 0n;
export const [GTC, IOC, FOK, DAY, GTD] = [0n, 1n, 2n, 3n, 4n];
const DAY_S = 86400n;
const PROTECTED_MARKET = 1n;

function isOfFeed(order, entry, minFillLots) {
  const isItsOwn = order.market === entry.market && order.owner === entry.owner && order.session === entry.session;
  return isItsOwn && order.priceTicks >= 1n && order.quantityLots >= 1n && order.quantityLots >= minFillLots;
}

// [ORD-3]. Without a claimed epoch's start: whether it is one of the forms in some epoch.
function hasItsForm({ kind, tif, postOnly, expiry, minTier }, claimedStartS = null) {
  if (kind === PROTECTED_MARKET && tif !== IOC && tif !== FOK) return false;
  if (postOnly && (tif === IOC || tif === FOK)) return false;
  if (tif !== GTC && expiry === 0n) return false;
  if (tif === DAY && claimedStartS !== null) {
    const life = expiry - claimedStartS;
    if (expiry % DAY_S !== 0n || life <= 0n || life > DAY_S) return false;
  }
  return minTier <= 3n;
}

// [ORD-4]
function fitsItsLane({ security, tif, paymentMethods, arbitrators }) {
  if (security === 0n) return paymentMethods.length === 0 && arbitrators.length === 0;
  const isNamed = [paymentMethods, arbitrators].every((list) => list.length >= 1 && list.length <= 8);
  return security <= 3n && isNamed && tif !== FOK;
}

// Whether an order can have stood in some epoch.
export const canStand = (order) => hasItsForm(order) && fitsItsLane(order);

// The orders of a feed that stand by their form, in the order in which they stand. Each keeps the place of the first
// Cancel that names it, and its first admission is yet to be seen ([FUND-5]).
// A dead session has none ([FEED-6]); what a base lists it lists because it stood ([FEED-13]).
export async function ordersOf(feed, { market: { minFillLots }, clock, signing }) {
  const orders = new Map();
  if ((feed.forkedSeq ?? null) !== null) return [];
  let lastNonce = (feed.standing[0]?.listing?.nextNonce ?? 0n) - 1n;
  for (const { item, entry, place } of standingItems(feed)) {
    if (item.rule === "cancel" && orders.has(item.orderId)) orders.get(item.orderId).cancelled ??= { entry, place };
    if (item.rule !== "order-item") continue;
    const { order, signature } = item;
    const { listing } = entry;
    const isNext = order.nonce > lastNonce;
    if (order.nonce > lastNonce) lastNonce = order.nonce;
    if (!isOfFeed(order, entry, minFillLots)) continue;
    const isGood = isNext && hasItsForm(order, clock.startS(entry.epoch)) && fitsItsLane(order);
    if (!isGood && listing === undefined) continue;
    const id = signing.digest("Order", order);
    const signer = await signing.signer(id, signature);
    if (signer !== order.owner && signer !== order.session) continue;
    const isSessionSigned = signer !== order.owner;
    const isEnded = listing !== undefined && place[1] < BigInt(listing.ended);
    const cancelled = isEnded ? { entry, place: [entry.seq, -1n] } : null;
    orders.set(id, { id, order, place, claimedEpoch: entry.epoch, isSessionSigned, cancelled, isEnded });
  }
  return [...orders.values()];
}

// Whether time has not ended an order in an epoch ([ORD-6]).
export function isInTime({ order, claimedEpoch }, epoch, clock) {
  if (order.expiry !== 0n && clock.startS(epoch) >= order.expiry) return false;
  return (order.tif !== IOC && order.tif !== FOK) || epoch < claimedEpoch + clock.k;
}
