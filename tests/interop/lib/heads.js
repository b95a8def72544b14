// What stands for heads and ranges of them, and what an answer teaches who asked ([SYNC-8..14]).
import { concat, keccak256, numberToHex, slice } from "viem";
import { Refused } from "./cbor.js";
import { end, number } from "./places.js";

const NOTHING = `0x${"00".repeat(32)}`;
const place = ({ session }) => BigInt(session);
const isSame = (one, other) => ["session", "nextSeq", "headHash"].every((name) => one[name] === other[name]);
const key = ({ from, to }) => `${from}-${to}`;

export function element({ session, nextSeq, headHash }) {
  const flag = headHash === NOTHING ? "0x01" : "0x00";
  return keccak256(concat([session, numberToHex(nextSeq, { size: 8 }), headHash, NOTHING, flag]));
}

export function root(heads, bit = 159n) {
  if (heads.length === 0) return NOTHING;
  if (heads.length === 1) return element(heads[0]);
  const [zeros, ones] = [0n, 1n].map((side) => heads.filter((head) => ((place(head) >> bit) & 1n) === side));
  if (zeros.length === 0 || ones.length === 0) return root(heads, bit - 1n);
  return keccak256(concat([root(zeros, bit - 1n), root(ones, bit - 1n)]));
}

export const salted = (salt, digest) => slice(keccak256(concat([salt, digest])), 0, 8);

export const within = (heads, low, high) => heads.filter((head) => low <= place(head) && place(head) < high);

function expect(holds, what) {
  if (!holds) throw new Refused(`expected ${what}`);
}

const parts = ({ bounds, fingerprints }) =>
  fingerprints.map((fingerprint, at) => ({ from: bounds[at], to: bounds[at + 1], fingerprint }));

const byPlace = (one, other) => (number(one.from) < number(other.from) ? -1 : 1);

// Takes out of a map what answers a range.
function take(map, range) {
  const found = map.get(key(range));
  map.delete(key(range));
  return found;
}

// What of one answered range is theirs alone, ours alone, or to be asked about further.
function readRange(range, mine, salt, unread) {
  const here = within(mine, number(range.from), end(range.to));
  const there = within([...unread.heads], number(range.from), end(range.to));
  const span = take(unread.spans, range);
  if (span) {
    expect(span.fingerprints.length > 1, "a range split or told, not given back whole");
    const seen = ({ from, to }) => salted(salt, root(within(mine, number(from), end(to))));
    const isOther = (part) => seen(part) !== part.fingerprint;
    return { further: parts(span).filter(isOther), theirs: [], ours: [] };
  }
  const isKnown = (head) => here.some((one) => isSame(one, head));
  if (range.ids) {
    expect(!there.some(isKnown), "heads that were not listed");
    there.forEach((head) => unread.heads.delete(head));
    const ours = here.filter((head) => unread.lacks.delete(salted(salt, element(head))));
    return { further: [], theirs: there, ours };
  }
  if (!take(unread.told, range)) return { further: [], theirs: [], ours: [] };
  there.forEach((head) => unread.heads.delete(head));
  const ours = here.filter((head) => !there.some((one) => isSame(one, head)));
  return { further: [], theirs: there.filter((head) => !isKnown(head)), ours };
}

export function readAnswer(mine, asked, answer) {
  const ranges = [...asked.spans.flatMap(parts), ...asked.listings].sort(byPlace);
  const reached = end(answer.reached);
  const answered = ranges.filter(({ to }) => end(to) <= reached);
  const rest = ranges.slice(answered.length);
  expect(answered.length > 0 && rest.every(({ from }) => number(from) >= reached), "whole ranges, the first at least");
  const unread = {
    spans: new Map(answer.spans.map((span) => [key({ from: span.bounds[0], to: span.bounds.at(-1) }), span])),
    told: new Map(answer.told.map((range) => [key(range), range])),
    heads: new Set(answer.heads),
    lacks: new Set(answer.lacks),
  };
  const read = answered.map((range) => readRange(range, mine, asked.salt, unread));
  expect(
    Object.values(unread).every((left) => left.size === 0),
    "answers to what was asked alone",
  );
  const all = (name) => read.flatMap((one) => one[name]);
  const further = [...all("further"), ...rest].map(({ from, to }) => [from, to]);
  return { theirs: all("theirs"), ours: all("ours"), further };
}
