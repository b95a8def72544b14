// What an honest node decides, where the spec says it in numbers: 02, 05 and 06, under the preset and genesis of its
// vectors. A function takes what is given by name.
const KIB = 1024n;
const GENESIS_MS = 1700000000250n;
const CONTRADICTION = "decline view";
const max = (left, right) => (left > right ? left : right);

// Reasons of which one is told; the spec puts them in no order ([TICK-12]).
export const ANY = Symbol("any");
const anyOf = (reasons) => ({ [ANY]: Object.keys(reasons).filter((name) => reasons[name]) });

// [TICK-3..7]
function answerToPrepare(given) {
  if (!given.isOwnOrder) return "unknown";
  if (given.isSameDigest) {
    if (!given.isEntitled) return CONTRADICTION;
    return given.areLotsPromised ? "decline busy" : "ready";
  }
  if (!given.isFallback) return given.wasViewed ? CONTRADICTION : "view";
  if (given.mismatches < 2n || !given.areTermsGood) return CONTRADICTION;
  return given.isKeptForAnother || given.areLotsPromised ? "decline busy" : "ready";
}

// [TICK-4]
function mergeEffective({ claimed, ours, theirs }) {
  const isLate = (epoch) => epoch > claimed + 8n;
  return isLate(ours) === isLate(theirs) ? max(ours, theirs) : null;
}

// [SYNC-3]
function fetchFrom({ ourNext, theirNext, fits }) {
  if (theirNext < ourNext || (theirNext === ourNext && fits)) return null;
  return fits ? ourNext : 0n;
}

// [SYNC-21]
function runFrom({ firstSeq, fromSeq, toSeq }) {
  const begins = max(firstSeq, fromSeq);
  return begins < toSeq ? [begins, begins !== fromSeq] : null;
}

// [FEED-17]
function isCheckpointDue({ entriesSince, lastS, nowS, isAnythingWaiting }) {
  const isOfAnEarlierDay = lastS - (lastS % 86400n) < nowS - (nowS % 86400n);
  return entriesSince >= 256n || (isOfAnEarlierDay && isAnythingWaiting && entriesSince > 0n);
}

// At most 16 pieces, all of a session together ([SYNC-18]).
function pageOfProofs({ sessions, after }) {
  const rest = sessions.filter((session) => session > after).sort();
  if (rest.length <= 16) return rest;
  return rest[15] === rest[16] ? rest.slice(0, rest.indexOf(rest[15])) : rest.slice(0, 16);
}

// [FEED-12]
function hasPlace({ feeds, strangers, keptBytes, isNew, isKnownToChain }) {
  if (isNew) return feeds < 3000n && (isKnownToChain || strangers < 256n);
  return isKnownToChain || keptBytes < 64n * KIB;
}

// [MATCH-1]
function effective({ claimed, contiguousAtMs, wasBeforeSynced }, { epochMs, graceMs }) {
  const isInTime = contiguousAtMs <= GENESIS_MS + (claimed + 1n) * epochMs + graceMs;
  return wasBeforeSynced || isInTime ? claimed : (contiguousAtMs - GENESIS_MS) / epochMs;
}

// [TICK-17]
function declineReason({ isCancelled, isInTime, isWithinLimits, areLotsGone }) {
  if (isCancelled) return "unknown";
  if (!isInTime) return "late";
  if (!isWithinLimits) return "limits";
  return areLotsGone ? "busy" : null;
}

// [TICK-13], [TICK-16]
function submitAfter({ preset, isMaker, isLeg }, _, presets) {
  const { d } = presets[preset];
  if (isLeg) return isMaker ? d / 6n : 0n;
  return isMaker ? 0n : d / 3n;
}

export const FUNCTIONS = {
  answer_delay_s: ({ answered, sinceS, nowS }) => (answered < 1500n ? 0n : max(0n, sinceS + 10n - nowS)), // [SYNC-7]
  answer_to_prepare: answerToPrepare,
  claims_too_early: ({ entryEpoch, clockEpoch }) => entryEpoch > clockEpoch + 2n, // [FEED-10]
  countersigns: ({ readyEpoch, entryEpoch, epoch, blockS, deadlineS }, { k }) =>
    entryEpoch <= readyEpoch + 2n && epoch <= readyEpoch + k && blockS <= deadlineS, // [TICK-9], decision 0004
  decline_reason: declineReason,
  effective,
  fetch_from: fetchFrom,
  has_place: hasPlace,
  has_round_failed: ({ headsWithoutEntries, isWhole }) => !isWhole || headsWithoutEntries > 16n, // [SYNC-17], [SYNC-20]
  is_checkpoint_due: isCheckpointDue,
  is_promised: ({ readyEpoch, epoch }) => epoch <= readyEpoch + 2n, // [TICK-7]
  is_welcome: ({ ours, theirs }) => ours.join() === theirs.join(), // [SYNC-6]
  may_offer: ({ readyEpoch, entryEpoch }) => entryEpoch <= readyEpoch + 2n, // [TICK-8]
  may_offer_legs: ({ answers }) => answers.length > 0 && answers.every((answer) => answer === "ready"), // [TICK-15]
  may_write_entry: ({ ownOnDisk, quorumShowsLaterEntry }) => ownOnDisk && !quorumShowsLaterEntry, // [FEED-9], [SYNC-5]
  merge_absent: ({ ours, theirs }) => ours.filter((session) => theirs.includes(session)), // [TICK-4]
  merge_effective: mergeEffective,
  // [SYNC-2]
  next_round_ms: ({ lastRoundMs, nowMs }) => (lastRoundMs === null ? nowMs : max(nowMs, lastRoundMs + 2000n)),
  page_of_proofs: pageOfProofs,
  quarter_of: ({ nowMs }, { epochMs }) => ((nowMs - GENESIS_MS) * 4n) / epochMs, // [FEED-11]
  run_from: runFrom,
  shows_its_view: ({ since, epoch }, { wait }) => epoch > since && (epoch - since) % wait === 0n, // [TICK-6]
  stays_synced: ({ failedRounds }) => failedRounds < 3n, // [SYNC-19]
  submit_after: submitAfter,
  submit_for_others_after: ({ preset }, _, presets) => 2n * (presets[preset].d / 3n), // [TICK-13]
  syncs_after_presence: ({ toldNext, heldNext }) => toldNext > heldNext, // [PEER-4]
  why_not_sign: ({ syncedPeers, quorum, isBlockKnown, hasDoubt }) =>
    anyOf({ doubt: hasDoubt, chain: !isBlockKnown, sync: syncedPeers < quorum }), // [TICK-12], [SYNC-4]
};

// How long a session that does not answer is passed over ([TICK-6], [TICK-11]).
export function patienceAfter(happenings, least) {
  let patience = null;
  for (const [what, epoch] of happenings) {
    if (what === "answered") patience = null;
    if (what === "back" && patience)
      patience.until = [patience.until, epoch + patience.k].reduce((a, b) => (a < b ? a : b));
    if (what !== "silent") continue;
    const k = max(least, patience === null ? 0n : patience.k + 1n);
    patience = { k: k > 6n ? 6n : k, until: null };
    patience.until = epoch + (1n << patience.k);
  }
  return patience;
}
