// Messages: what the schema says of them, and what CDDL cannot say: sizes, sorted lists, lists without repetition
// ([CBOR-5], the limits of 01-types.md).
import { Refused } from "./cbor.js";
import { checkCompare, checkDifferences } from "./places.js";

const KIB = 1024;
export const MAX_BYTES = {
  entry: 16 * KIB,
  "order-item": KIB,
  batch: 64 * KIB,
  presence: 2 * KIB,
  evidence: 8 * KIB,
  "ticket-frame": 16 * KIB,
  "sync-frame": 256 * KIB,
  "direct-frame": 2 * KIB,
};

export const bytesIn = (hex) => hex.length / 2 - 1;

function fail(what) {
  throw new Refused(`expected ${what}`);
}

function checkSize(rule, hex) {
  if (bytesIn(hex) > MAX_BYTES[rule]) fail(`at most ${MAX_BYTES[rule]} bytes of ${rule}, was ${bytesIn(hex)}`);
}

// Ascending without duplicates, rows by their first field.
function checkSorted(name, list, most) {
  if (list.length > most) fail(`at most ${most} ${name}, was ${list.length}`);
  const keys = list.map((row) => (typeof row === "object" ? Object.values(row)[1] : row));
  if (keys.some((key, at) => at > 0 && key <= keys[at - 1])) fail(`${name} ascending, without duplicates`);
}

function checkDistinct(name, list) {
  if (new Set(list).size !== list.length) fail(`${name} without duplicates`);
}

function checkOrder({ paymentMethods, arbitrators }) {
  checkDistinct("payment methods", paymentMethods);
  checkDistinct("arbitrators", arbitrators);
}

function checkLate({ late, absent }) {
  checkSorted("late orders", late, 256);
  checkSorted("absent sessions", absent, 128);
}

const checkParts = (message, part) => message.parts[0].forEach((one) => checkPart(part, one));

// By the name that the schema has for what was read.
const CHECKS = {
  entry: ({ items }) => items.forEach((item) => checkPart("item", item)),
  "order-item": ({ order }) => checkOrder(order),
  checkpoint: ({ liveOrders, endedOrders, offers, tickets }) => {
    for (const list of [liveOrders, endedOrders, offers, tickets]) checkSorted("hashes", list, 256);
  },
  presence: ({ heads }) => checkSorted("heads", heads, 16),
  "over-signed": ({ parts }) => parts.forEach(({ maker, taker }) => [maker, taker].forEach(checkOrder)),
  entries: (message) => checkParts(message, "entry"),
  presences: (message) => checkParts(message, "presence"),
  evidences: (message) => checkParts(message, "evidence"),
  prepare: (message) => {
    checkSorted("skips", message.skips, 64);
    checkLate(message);
  },
  view: checkLate,
  hello: ({ markets }) => checkSorted("markets", markets, 256),
  run: ({ entries, bodies }) => {
    if (entries.length > 4096) fail(`at most 4096 entries, was ${entries.length}`);
    if (bodies.length > 257) fail(`at most 257 bodies, was ${bodies.length}`);
    entries.forEach((entry) => checkPart("entry", entry));
    bodies.forEach((body) => checkPart("item", body));
  },
  compare: checkCompare,
  differences: (message) => checkDifferences(message, checkSorted),
};

// A message, or one nested in another as a byte string.
function checkPart(rule, { bytes, value }) {
  for (const name of [rule, value.rule]) if (name in MAX_BYTES) checkSize(name, bytes);
  CHECKS[value.rule]?.(value);
}

// Reads bytes as one message of a rule of the schema. Throws Refused at anything else.
export function readMessage(schema, rule, hex) {
  if (rule in MAX_BYTES) checkSize(rule, hex);
  const value = schema.read(rule, hex);
  checkPart(rule, { bytes: hex, value });
  return value;
}
