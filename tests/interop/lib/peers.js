// Presence ([PEER-1..3], [TYPE-7]) and evidence ([EVID-1..3]).
import { keccak256 } from "viem";
import { encode } from "./cbor.js";

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

const overlap = ([from, to], [start, end]) => from < end && start < to;

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

async function provenOverSigning({ session, parts }, signing, clock) {
  const digests = [];
  for (const { ticket, signature, maker, taker } of parts) {
    const digest = signing.digest("Ticket", ticket);
    digests.push(digest);
    const isOfBoth =
      [ticket.makerOrder, ticket.takerOrder].join() ===
      [maker, taker].map((one) => signing.digest("Order", one)).join();
    const isParty = [maker.session, taker.session].includes(session);
    if (!isOfBoth || !isParty || (await signing.signer(digest, signature)) !== session) return null;
  }
  const [one, other] = parts;
  const { market } = one.maker;
  if (digests[0] === digests[1] || [one.taker, other.maker, other.taker].some((order) => order.market !== market))
    return null;
  const isOneNonce = one.ticket.ticketNonce === other.ticket.ticketNonce && one.taker.session === other.taker.session;
  if (!isOneNonce && !takesTwice(session, parts, clock)) return null;
  return { session, market, forkedSeq: null };
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
