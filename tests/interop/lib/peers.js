// Presence ([PEER-1..3], [TYPE-7]) and evidence ([EVID-1..3]).
import { keccak256 } from "viem";
import { encode } from "./cbor.js";
import { Words } from "./holds.js";
import { ordersOf } from "./orders.js";

const row = ({ market, nextSeq, headHash }) => [market, nextSeq, headHash];

// Whether a Presence is signed by its session.
export async function isSignedPresence(presence, signing) {
  const contentRoot = keccak256(encode([presence.heads.map(row), presence.addresses]));
  const digest = signing.digest("Presence", { ...presence, contentRoot });
  return (await signing.signer(digest, presence.signature)) === presence.session;
}

async function provenFork(headers, signing) {
  const [one, other] = headers;
  const hashes = headers.map((header) => signing.digest("FeedEntry", header));
  const isOnePlace = one.session === other.session && one.market === other.market && one.seq === other.seq;
  if (!isOnePlace || hashes[0] === hashes[1]) return null;
  for (const [at, header] of headers.entries()) {
    if ((await signing.signer(hashes[at], header.signature)) !== header.session) return null;
  }
  return { session: one.session, market: one.market, forkedSeq: one.seq };
}

// Whether two ranges share anything; an empty one shares nothing.
export const overlap = ([from, to], [start, end]) => (from > start ? from : start) < (to < end ? to : end);

// Lots of one of the session's own orders that both tickets take, at times that meet.
function takesTwice(session, [one, other], clock) {
  const sides = ({ ticket, maker, taker }) => [
    { id: ticket.makerOrder, order: maker, lots: [ticket.makerFrom, ticket.makerTo] },
    { id: ticket.takerOrder, order: taker, lots: [ticket.takerFrom, ticket.takerTo] },
  ];
  const time = ({ ticket }) => [clock.startS(ticket.epoch), ticket.deadline + 1n];
  const own = (signed) => sides(signed).filter(({ order }) => order.session === session);
  const isSame = (left) => (right) => left.id === right.id && overlap(left.lots, right.lots);
  return overlap(time(one), time(other)) && own(one).some((left) => own(other).some(isSame(left)));
}

// Whether two tickets that a session signed, each with both its orders, convict it in their market.
function convict(session, [one, other], digests, clock) {
  const { market } = one.maker;
  const isParty = ({ maker, taker }) => [maker.session, taker.session].includes(session);
  if (digests[0] === digests[1] || !isParty(one) || !isParty(other)) return false;
  if ([one.taker, other.maker, other.taker].some((order) => order.market !== market)) return false;
  const isOneNonce = one.ticket.ticketNonce === other.ticket.ticketNonce && one.taker.session === other.taker.session;
  return isOneNonce || takesTwice(session, [one, other], clock);
}

// Whether two words that count in one feed contradict each other ([EVID-4]).
function contradict(one, other, clock) {
  if (one.digest === other.digest) return false;
  const own = ({ ticket, side }) => ({
    id: ticket[`${side}Order`],
    lots: [ticket[`${side}From`], ticket[`${side}To`]],
  });
  const time = ({ ticket }) => [clock.startS(ticket.epoch), ticket.deadline + 1n];
  const taker = ({ side, session, other: signer }) => (side === "taker" ? session : signer);
  const isOneTaker = taker(one) !== null && taker(one) === taker(other);
  if (isOneTaker && one.ticket.ticketNonce === other.ticket.ticketNonce) return true;
  const isOneLot = own(one).id === own(other).id && overlap(own(one).lots, own(other).lots);
  return isOneLot && overlap(time(one), time(other));
}

// Whether what a session says in its own feed, whatever epochs it claims, convicts it ([EVID-4]).
export async function isSelfConvicted(feed, world) {
  const orders = new Map((await ordersOf(feed, world)).map((order) => [order.id, order]));
  const words = await new Words({ ...world, orders }).ofFeed({ ...feed, forkedSeq: null }, null);
  return words.some((one, at) => words.slice(at + 1).some((other) => contradict(one, other, world.clock)));
}

async function provenOverSigning({ session, parts }, signing, clock) {
  const digests = [];
  for (const { ticket, signature, maker, taker } of parts) {
    const digest = signing.digest("Ticket", ticket);
    digests.push(digest);
    const isOfBoth =
      [ticket.makerOrder, ticket.takerOrder].join() ===
      [maker, taker].map((one) => signing.digest("Order", one)).join();
    if (!isOfBoth || (await signing.signer(digest, signature)) !== session) return null;
  }
  if (!convict(session, parts, digests, clock)) return null;
  return { session, market: parts[0].maker.market, forkedSeq: null };
}

// What a piece of evidence proves by itself, null if nothing.
export async function proven(piece, signing, clock) {
  if (piece.rule === "fork") return provenFork(piece.parts, signing);
  return piece.rule === "over-signed" ? provenOverSigning(piece, signing, clock) : null;
}

// The epoch of a session's Presence that counts once some were heard in turn ([PEER-2]).
export function newestHeard(heard, clockEpoch) {
  const taken = heard.filter((epoch) => epoch <= clockEpoch + 2n);
  return taken.reduce((newest, epoch) => (newest === null || epoch > newest ? epoch : newest), null);
}

// The sessions without a sign of life for `deadS` ([PEER-3]).
export function absentSessions({ sessions, aliveMs, nowMs, syncedMs, deadS }) {
  const last = new Map(Object.entries(aliveMs));
  const isAlive = (session) =>
    nowMs - [last.get(session) ?? syncedMs, syncedMs].reduce((a, b) => (a > b ? a : b)) <= deadS * 1000n;
  return sessions.filter((session) => !isAlive(session));
}
