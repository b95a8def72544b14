// Owner feeds ([FEED-1..8]): which bytes are sound entries, what stands of each session's feed in a market, who forked.
import { isTrueToItsFeed } from "./checkpoints.js";
import { readMessage } from "./messages.js";
import { Refused } from "./cbor.js";
import { isSignedByPeer, itemsRoot } from "./eip712.js";

const NO_HASH = `0x${"00".repeat(32)}`;
const MAX_ENTRIES_AN_EPOCH = 4;

export const compare = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
export const by =
  (...keys) =>
  (left, right) =>
    keys.reduce((order, key) => order || compare(key(left), key(right)), 0);

// Reads an entry and adds its hash; throws Refused if it is not sound ([FEED-1]).
export async function readSoundEntry(schema, signing, hex) {
  const entry = readMessage(schema, "entry", hex);
  if (itemsRoot(entry.items.map((item) => item.bytes)) !== entry.itemsRoot) throw new Refused("another items root");
  const hash = signing.digest("FeedEntry", entry);
  if ((await signing.signer(hash, entry.signature)) !== entry.session) throw new Refused("not signed by its session");
  return { ...entry, hash };
}

// Whether item 0 of seq 0, and nothing else, is a Delegation with both its signatures ([FEED-3]).
export async function hasItsDelegation(entry, signing) {
  const places = entry.items.flatMap(({ value }, at) => (value.rule === "delegation" ? [at] : []));
  if (entry.seq !== 0n) return places.length === 0;
  if (places.length !== 1 || places[0] !== 0) return false;
  const delegation = entry.items[0].value;
  if (delegation.owner !== entry.owner || delegation.session !== entry.session) return false;
  const digest = signing.digest("Delegation", delegation);
  if ((await signing.signer(digest, delegation.sessionSignature)) !== entry.session) return false;
  return isSignedByPeer(delegation.peerId, digest, delegation.peerSignature);
}

// Whether an entry may follow those that stand before it ([FEED-2]).
function follows(entry, standing) {
  const last = standing.at(-1);
  if (!last) return entry.prevHash === NO_HASH;
  const isOne = entry.prevHash === last.hash && entry.owner === last.owner && entry.epoch >= last.epoch;
  return isOne && standing.filter(({ epoch }) => epoch === entry.epoch).length < MAX_ENTRIES_AN_EPOCH;
}

// One session's feed, from all its sound entries in a market in any order, each as often as one likes.
async function feedOf(session, entries, world) {
  const { signing, starts = [] } = world;
  const start = starts.find((one) => one.session === session);
  const held = start ? entries.filter(({ seq, hash }) => seq >= start.seq && hash !== start.hash) : entries;
  const seqs = grouped(start ? [start, ...held] : held, ({ seq }) => seq);
  const forks = [...seqs].filter(([, same]) => same.length > 1).map(([seq]) => seq);
  let forkedSeq = forks.length > 0 ? forks.sort(compare)[0] : null;
  const firstSeq = start?.seq ?? 0n;
  let nextSeq = firstSeq;
  while (seqs.has(nextSeq)) nextSeq += 1n;
  const standing = [];
  for (let seq = firstSeq; seq < nextSeq && seq !== forkedSeq; seq += 1n) {
    const [entry] = seqs.get(seq);
    if (entry === start) {
      standing.push(start);
      continue;
    }
    if (!follows(entry, standing) || !(await hasItsDelegation(entry, signing))) break;
    standing.push(entry);
    if (!(await isTrueToItsFeed({ session, standing }, entry, world))) {
      standing.pop();
      forkedSeq = seq;
    }
  }
  return { session, entries, standing, forkedSeq, nextSeq };
}

export function grouped(values, key) {
  const groups = new Map();
  for (const value of values) groups.set(key(value), [...(groups.get(key(value)) ?? []), value]);
  return groups;
}

// The feeds of a market, sorted by session ([FEED-6..8]).
export async function feedsOf(entries, market, world) {
  const all = [...entries, ...(world.starts ?? [])];
  const distinct = new Map(all.filter((entry) => entry.market === market).map((entry) => [entry.hash, entry]));
  const sessions = [...grouped(distinct.values(), ({ session }) => session)].sort(by(([session]) => session));
  return Promise.all(sessions.map(([session, own]) => feedOf(session, own, world)));
}

// The items of a feed that stand, in (seq, index) order, each with its place.
export function standingItems({ standing }) {
  return standing.flatMap((entry) =>
    entry.items.map(({ value }, index) => ({ item: value, entry, place: [entry.seq, BigInt(index)] })),
  );
}
