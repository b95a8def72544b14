// Messages: what the schema says of them, and what CDDL cannot say: sizes, sorted lists, lists without repetition ([CBOR-5],
// the limits of 01-types.md).
import { Refused } from "./cbor.js";

const KIB = 1024;
const MAX_BYTES = {
  entry: 16 * KIB,
  "order-item": KIB,
  batch: 64 * KIB,
  "ticket-frame": 16 * KIB,
  "sync-frame": 256 * KIB,
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

const CHECKS = {
  entry: ({ items }) => items.forEach(checkItem),
  "order-item": ({ order }) => {
    checkDistinct("payment methods", order.paymentMethods);
    checkDistinct("arbitrators", order.arbitrators);
  },
  batch: ({ entries }) => entries.forEach(checkEntry),
  prepare: ({ skips, late }) => {
    checkSorted("skips", skips, 64);
    checkSorted("late orders", late, 256);
  },
  view: ({ late }) => checkSorted("late orders", late, 256),
  hello: ({ markets }) => checkSorted("markets", markets, 256),
  heads: ({ heads }) => checkSorted("heads", heads, 4096),
  run: ({ entries }) => {
    if (entries.length > 4096) fail(`at most 4096 entries, was ${entries.length}`);
    entries.forEach(checkEntry);
  },
};

function checkItem({ bytes, value }) {
  if (value.rule in MAX_BYTES) checkSize(value.rule, bytes);
  CHECKS[value.rule]?.(value);
}

function checkEntry({ bytes, value }) {
  checkSize("entry", bytes);
  CHECKS.entry(value);
}

// Reads bytes as one message: entry, item, batch, ticket-frame or sync-frame. Throws Refused at anything else.
export function readMessage(schema, rule, hex) {
  if (rule in MAX_BYTES) checkSize(rule, hex);
  const value = schema.read(rule, hex);
  checkItem({ bytes: hex, value });
  return value;
}
