#!/usr/bin/env node
// Checks every vector of the protocol with code that shares nothing with orrange: written from protocol/spec alone, on
// viem, cbor-x, @noble/curves and @noble/ciphers. One line a file, or with --json one JSON object; the first difference ends it with
// status 1.
//
//   node check.js [--json] [--only codec/cbor.json] [the protocol's directory]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkCbor, checkLimit, checkMessage, checkSignature } from "./checks/codec.js";
import { checkTyped } from "./checks/eip712.js";
import { checkMatching, checkPeriod } from "./checks/matching.js";
import { checkAbsence, checkEvidence, checkNewest, checkPresence } from "./checks/peers.js";
import { checkAnswer as checkDirectAnswer, checkInstructions, checkReceipt } from "./checks/direct.js";
import { checkDecay, checkScores } from "./checks/reputation.js";
import * as tickets from "./checks/tickets.js";
import * as types from "./checks/types.js";
import { checkAnswer, checkRoots } from "./checks/sync.js";
import { checkBook, checkFeeds, checkStart, WORLD } from "./checks/worlds.js";
import { Schema } from "./lib/cddl.js";
import { Signing } from "./lib/eip712.js";
import { Difference, hasForm, revive } from "./lib/vectors.js";

const PROTOCOL = join(dirname(fileURLToPath(import.meta.url)), "../../protocol");

// How each file is checked: what stands in it beside its cases, and the check of a case. A file without a row here
// fails.
const KNOWN = [
  [/^codec\/cbor\.json$/, [], checkCbor],
  [/^codec\/messages\.json$/, [], checkMessage],
  [/^codec\/limits\.json$/, [], checkLimit],
  [/^codec\/signatures\.json$/, [], checkSignature],
  [/^eip712\/[a-z_]+\.json$/, ["primaryType"], checkTyped],
  [/^feeds\/starts\.json$/, WORLD, checkStart],
  [/^feeds\/[a-z]+\.json$/, WORLD, checkFeeds],
  [/^book\/[a-z_]+\.json$/, [...WORLD, "quotePerBond"], checkBook],
  [/^matching\/periods\.json$/, [], checkPeriod],
  [/^matching\/[a-z_]+\.json$/, [], checkMatching],
  [/^peers\/evidence\.json$/, WORLD, checkEvidence],
  [/^peers\/presence\.json$/, WORLD, checkPresence],
  [/^peers\/newest\.json$/, [], checkNewest],
  [/^peers\/absence\.json$/, [], checkAbsence],
  [/^peers\/instructions\.json$/, [], checkInstructions],
  [/^peers\/answers\.json$/, [], checkDirectAnswer],
  [/^peers\/receipts\.json$/, [], checkReceipt],
  [/^reputation\/decay\.json$/, [], checkDecay],
  [/^reputation\/(scores|thrown)\.json$/, [], checkScores],
  [/^sync\/roots\.json$/, [], checkRoots],
  [/^sync\/answers\.json$/, [], checkAnswer],
  [/^tickets\/tickets\.json$/, WORLD, tickets.checkTicket],
  [/^tickets\/groups\.json$/, WORLD, tickets.checkGroup],
  [/^tickets\/entitled\.json$/, WORLD, tickets.checkEntitled],
  [/^tickets\/contradictions\.json$/, WORLD, tickets.checkContradiction],
  [/^conduct\/patience\.json$/, [], tickets.checkPatience],
  [/^conduct\/[a-z_]+\.json$/, [], tickets.checkConduct],
  [/^types\/amounts\.json$/, [], types.checkAmounts],
  [/^types\/times\.json$/, [], types.checkTimes],
  [/^types\/constants\.json$/, [], types.checkConstants],
  [/^types\/roots\.json$/, [], types.checkRoots],
  [/^types\/peer_signatures\.json$/, [], types.checkPeerSignature],
  [/^types\/topics\.json$/, [], types.checkTopic],
  [/^types\/frames\.json$/, [], types.checkFrame],
];
const FOLDERS = ["book", "codec", "eip712", "feeds", "matching", "peers", "reputation", "sync", "tickets", "types"];

function vectorFiles(root) {
  const found = readdirSync(root, { recursive: true, withFileTypes: true });
  const files = found.filter((one) => one.isFile() && one.name !== "README.md");
  for (const folder of FOLDERS) {
    if (!existsSync(join(root, folder))) throw new Difference(`${folder}/: expected vectors, was no such folder`);
  }
  return files.map((one) => join(one.parentPath ?? one.path, one.name).slice(root.length + 1)).sort();
}

function readCommon(protocol) {
  const typed = JSON.parse(readFileSync(join(protocol, "eip712.json"), "utf8"));
  const asText = (_, value) => (typeof value === "number" ? String(value) : value);
  const presets = revive(JSON.parse(readFileSync(join(protocol, "presets.json"), "utf8"), asText));
  const chapters = readdirSync(join(protocol, "spec")).map((name) =>
    readFileSync(join(protocol, "spec", name), "utf8"),
  );
  const rules = new Set(
    chapters.flatMap((text) => [...text.matchAll(/^- \[([A-Z]+-\d+)\]/gm)].map(([, rule]) => rule)),
  );
  return { schema: new Schema(readFileSync(join(protocol, "orrange.cddl"), "utf8")), typed, rules, presets };
}

async function checkFile(root, name, common) {
  const [, form, check] = KNOWN.find(([pattern]) => pattern.test(name)) ?? [];
  if (!check) throw new Difference("a vector file that this program does not know; teach it what the file says");
  const file = revive(JSON.parse(readFileSync(join(root, name), "utf8")));
  hasForm("the file", file, "cases", ...form);
  if (file.cases.length === 0) throw new Difference("expected cases, was none");
  const signing = file.domain && new Signing(common.typed, file.domain);
  for (const { rules = [], ...one } of file.cases) {
    try {
      for (const rule of rules) if (!common.rules.has(rule)) throw new Difference(`no rule of the spec is ${rule}`);
      await check(one, { ...common, file, signing });
    } catch (error) {
      if (error instanceof Difference) error.message = `case ${one.name}, ${error.message}`;
      throw error;
    }
  }
  return file.cases.length;
}

async function main() {
  const options = { json: { type: "boolean" }, only: { type: "string" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const protocol = positionals[0] ?? PROTOCOL;
  const checked = {};
  let difference = null;
  let current = "the protocol";
  try {
    const common = readCommon(protocol);
    for (current of values.only ? [values.only] : vectorFiles(join(protocol, "vectors"))) {
      checked[current] = await checkFile(join(protocol, "vectors"), current, common);
      if (!values.json) console.log(`${current}: checked ${checked[current]} cases`);
    }
  } catch (error) {
    if (!(error instanceof Difference || error instanceof SyntaxError)) throw error;
    difference = `${current}: ${error.message}`;
  }
  if (values.json) console.log(JSON.stringify({ checked, difference }));
  else if (difference) console.error(difference);
  process.exitCode = difference ? 1 : 0;
}

await main();
