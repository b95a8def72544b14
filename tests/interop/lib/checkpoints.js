// What a feed alone implies where a Checkpoint stands, and which one is its base ([FEED-13..16]).
import { keccak256 } from "viem";
import { Refused } from "./cbor.js";
import { by, compare, hasItsDelegation, standingItems } from "./feeds.js";
import { Words } from "./holds.js";
import { canStand, FOK, IOC, isInTime, ordersOf } from "./orders.js";

const MAX_LISTED = 256;
const CHECKPOINTS_IN_AGE = 64n; // at most, in the time after which one can be a base
const LISTS = ["liveOrders", "endedOrders", "offers", "tickets"];
const KINDS = { liveOrders: "order-item", endedOrders: "order-item", offers: "offer", tickets: "ticket-item" };

const placesOf = (entry) => entry.items.flatMap(({ value }, at) => (value.rule === "checkpoint" ? [at] : []));
const isCheckpoint = (entry) => entry.listing !== undefined || placesOf(entry).length > 0;
const hashOf = ({ bytes }) => keccak256(bytes);
const byHash = (items) => [...items].sort(by(hashOf));

// A Checkpoint's entry as a base: what it lists, in the order in which it stands there ([FUND-8]).
// `bodies` are the items in the order of their hashes, the Delegation first.
function baseOf(entry, bodies) {
  const { nextNonce, liveOrders, endedOrders } = entry.items.at(-1).value;
  const [delegation, ...rest] = bodies;
  const live = rest.slice(0, liveOrders.length);
  const ended = rest.slice(live.length, live.length + endedOrders.length);
  const byNonce = (items) => [...items].sort(by(({ value }) => value.order.nonce));
  const items = [...byNonce(ended), ...byNonce(live), ...rest.slice(live.length + ended.length)];
  return { ...entry, items, listing: { nextNonce, delegation, ended: ended.length } };
}

// A start as a base, if its bodies are those that its Checkpoint lists ([FEED-16]).
export function readStart(entry, bodies) {
  const said = entry.items.at(-1).value;
  if (said.rule !== "checkpoint") throw new Refused("no Checkpoint");
  const hashes = [said.delegation, ...LISTS.flatMap((name) => said[name])];
  if (bodies.map(hashOf).join() !== hashes.join()) throw new Refused("other bodies than are listed");
  const kinds = ["delegation", ...LISTS.flatMap((name) => said[name].map(() => KINDS[name]))];
  if (bodies.map(({ value }) => value.rule).join() !== kinds.join()) throw new Refused("another kind than is listed");
  return baseOf(entry, bodies);
}

// A start that may be true, whatever came before it, as a base ([FEED-16]).
export async function readPossibleStart(entry, bodies, world) {
  const base = readStart(entry, bodies);
  const { signing, clock, market } = world;
  const { nextNonce, liveOrders, endedOrders, offers, tickets } = entry.items.at(-1).value;
  const refuseUnless = (isGood, what) => {
    if (!isGood) throw new Refused(what);
  };
  const opening = { ...base, seq: 0n, items: [base.listing.delegation] };
  refuseUnless(base.market === signing.digest("Market", market), "another market");
  refuseUnless(await hasItsDelegation(opening, signing), "another feed's Delegation");
  refuseUnless(base.items.length <= MAX_LISTED, "more than a Checkpoint lists");
  const part = { session: base.session, forkedSeq: null, standing: [base] };
  const orders = new Map((await ordersOf(part, world)).map((one) => [one.id, one]));
  refuseUnless(orders.size === liveOrders.length + endedOrders.length, "orders of another feed, or twice");
  for (const one of orders.values()) {
    refuseUnless(canStand(one.order) && one.order.nonce < nextNonce, "an order that never stood");
    const isShort = one.order.tif === IOC || one.order.tif === FOK;
    refuseUnless(one.isEnded || (isInTime(one, base.epoch, clock) && !isShort), "a live order that is over");
  }
  const words = await new Words({ orders, signing, clock }).ofFeed(part, null);
  const open = words.filter(({ ticket }) => ticket.deadline >= clock.startS(base.epoch) - clock.lFund);
  const tellings = new Set(open.map(({ side, digest }) => side + digest));
  refuseUnless(tellings.size === offers.length + tickets.length, "a ticket that does not count, is over, or is twice");
  const named = new Set(open.map(({ side, ticket }) => ticket[`${side}Order`]));
  refuseUnless([...orders.values()].every(({ id, isEnded }) => !isEnded || named.has(id)), "an order of no ticket");
  return base;
}

// An entry that stands and ends with a true Checkpoint, as a base.
async function baseAt(feed, entry, world) {
  if (entry.listing) return entry;
  return baseOf(entry, (await impliedAt(feed, entry, world)).bodies);
}

// What a feed says before an entry: what the last Checkpoint before lists, and the entries since.
async function sinceCheckpoint(feed, entry, world) {
  const before = feed.standing.filter(({ seq }) => seq < entry.seq);
  const at = before.findLastIndex(isCheckpoint);
  return at < 0 ? before : [await baseAt(feed, before[at], world), ...before.slice(at + 1)];
}

// What a true Checkpoint at the end of an entry that stands says, and the items behind its hashes.
async function impliedAt(feed, entry, world) {
  const own = { ...entry, items: entry.items.filter(({ value }) => value.rule !== "checkpoint") };
  const standing = [...(await sinceCheckpoint(feed, entry, world)), own];
  const part = { session: feed.session, forkedSeq: null, standing };
  const { clock, signing } = world;
  const orders = new Map((await ordersOf(part, world)).map((one) => [one.id, one]));
  const itemAt = ([seq, index]) => standing.find((one) => one.seq === seq).items[Number(index)];
  const isLive = (one) =>
    one.cancelled === null && isInTime(one, entry.epoch, clock) && one.order.tif !== IOC && one.order.tif !== FOK;
  const live = [...orders.values()].filter(isLive);
  const words = await new Words({ orders, signing, clock }).ofFeed(part, null);
  const sinceS = clock.startS(entry.epoch) - clock.lFund;
  const first = { taker: new Map(), maker: new Map() };
  for (const { side, digest, ticket, place } of words) {
    if (ticket.deadline >= sinceS && !first[side].has(digest)) first[side].set(digest, { ticket, place });
  }
  const signed = ["taker", "maker"].flatMap((side) =>
    [...first[side].values()].map(({ ticket }) => orders.get(ticket[`${side}Order`])),
  );
  const ended = [...new Set(signed)].filter((one) => !live.includes(one));
  const nonces = standingItems(part).flatMap(({ item }) => (item.rule === "order-item" ? [item.order.nonce + 1n] : []));
  const lists = [
    byHash(live.map(({ place }) => itemAt(place))),
    byHash(ended.map(({ place }) => itemAt(place))),
    byHash([...first.taker.values()].map(({ place }) => itemAt(place))),
    byHash([...first.maker.values()].map(({ place }) => itemAt(place))),
  ];
  const delegation = standing[0].listing?.delegation ?? standing[0].items[0];
  const said = { nextNonce: [0n, standing[0].listing?.nextNonce ?? 0n, ...nonces].sort(compare).at(-1) };
  said.delegation = hashOf(delegation);
  for (const [at, name] of LISTS.entries()) said[name] = lists[at].map(hashOf);
  return { said, bodies: [delegation, ...lists.flat()] };
}

const comesTooSoon = (earlier, entry, clock) =>
  CHECKPOINTS_IN_AGE * (entry.epoch - earlier.epoch) * clock.epochMs < 1000n * clock.checkpointAgeS;

// Whether an entry that stands has no Checkpoint, or a true one at its end.
export async function isTrueToItsFeed(feed, entry, world) {
  const places = placesOf(entry);
  if (places.length === 0) return true;
  if (places.length > 1 || places[0] !== entry.items.length - 1) return false;
  if (feed.standing.some(({ seq, epoch }) => seq < entry.seq && epoch === entry.epoch)) return false;
  const isTooSoon = (one) => isCheckpoint(one) && comesTooSoon(one, entry, world.clock);
  if (feed.standing.some((one) => one.seq < entry.seq && isTooSoon(one))) return false;
  const { said } = await impliedAt(feed, entry, world);
  if (LISTS.reduce((sum, name) => sum + said[name].length, 0) > MAX_LISTED) return false;
  const found = entry.items.at(-1).value;
  return Object.keys(said).every((name) => String(said[name]) === String(found[name]));
}

// What a feed says at an epoch: a living one from its base on ([FEED-15]).
export async function fromItsBase(feed, epoch, world) {
  const { clock } = world;
  const isOld = (one) => clock.startS(one.epoch) + clock.checkpointAgeS <= clock.startS(epoch);
  const at = feed.standing.findLastIndex((one) => isCheckpoint(one) && isOld(one));
  if (feed.forkedSeq !== null || at < 0) return feed;
  return { ...feed, standing: [await baseAt(feed, feed.standing[at], world), ...feed.standing.slice(at + 1)] };
}
