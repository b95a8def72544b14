// Ranges of sessions in Compare and Differences ([SYNC-11..15]).
import { Refused } from "./cbor.js";

const MAX_RANGES = 1024;
const MAX_IDS = 4096;
const MAX_HEADS = 2048;
const BEHIND_ALL = 1n << 160n;

function expect(holds, what) {
  if (!holds) throw new Refused(`expected ${what}`);
}

// A place as a number: a session's bytes without the zeros behind.
export function number(place) {
  expect(!place.endsWith("00") || place === "0x", "a place without zeros behind");
  return BigInt(`0x${place.slice(2).padEnd(40, "0")}`);
}

export const end = (place) => (place === "0x" ? BEHIND_ALL : number(place));

function rangesOf({ bounds, fingerprints }) {
  expect(fingerprints.length === bounds.length - 1, "a fingerprint between each two places");
  return fingerprints.map((_, at) => ({
    from: bounds[at],
    to: bounds[at + 1],
    isLast: at === fingerprints.length - 1,
  }));
}

// The ranges as numbers, ascending, none empty, none over another.
function ascending(ranges) {
  let reached = 0n;
  return ranges.map(({ from, to, isLast = true }) => {
    const range = { from: number(from), to: isLast ? end(to) : number(to) };
    expect(reached <= range.from && range.from < range.to, "ranges that ascend, none empty, none over another");
    reached = range.to;
    return range;
  });
}

function few(list, most, what) {
  expect(list.length <= most, `at most ${most} ${what}, was ${list.length}`);
}

// Ranges by fingerprint and ranges by ids each for themselves; ids stand in any order ([SYNC-12]).
export function checkCompare({ spans, listings }) {
  few([...ascending(spans.flatMap(rangesOf)), ...ascending(listings)], MAX_RANGES, "ranges");
  few(
    listings.flatMap(({ ids }) => ids),
    MAX_IDS,
    "ids",
  );
}

export function checkDifferences({ reached, spans, told, heads, lacks }, checkSorted) {
  number(reached);
  few([...ascending(spans.flatMap(rangesOf)), ...ascending(told)], MAX_RANGES, "ranges");
  checkSorted("heads", heads, MAX_HEADS);
  few(lacks, MAX_IDS, "lacking ids");
}
