#!/usr/bin/env node
// Runs slither and holds its findings of high and medium impact against slither.triage.json. A finding without an entry
// fails, and so does an entry without a finding. Entries name detector and function, so that moved lines change nothing.
const { spawnSync } = require("child_process");
const fs = require("fs");
const path = require("path");

const ROOT = path.join(__dirname, "..");
const SLITHER = path.join(ROOT, ".venv-audit/bin/slither");
const FORGE_BIN = path.join(ROOT, "node_modules/@foundry-rs/forge-linux-amd64/bin");
const JUDGED = ["High", "Medium"];

function analyse() {
  const options = [".", "--filter-paths", "node_modules|test/|src/dev/", "--fail-none", "--json", "-"];
  const env = { ...process.env, PATH: `${FORGE_BIN}:${process.env.PATH}` };
  const ran = spawnSync(SLITHER, options, { cwd: ROOT, env, encoding: "utf8", maxBuffer: 1 << 28 });
  if (ran.error) throw ran.error;
  const answer = ran.stdout.startsWith("{") ? JSON.parse(ran.stdout) : { success: false, error: ran.stderr };
  if (!answer.success) throw new Error(`slither failed: ${answer.error}`);
  return answer.results.detectors ?? [];
}

// The innermost function or contract that a finding is about, as Contract.function.
function placeOf(finding) {
  const named = finding.elements.find((element) => element.type === "function") ?? finding.elements[0];
  const parent = named.type_specific_fields?.parent;
  const owner = parent?.type === "function" ? parent.type_specific_fields.parent : parent;
  const inner = parent?.type === "function" ? parent.name : named.name;
  return owner?.type === "contract" ? `${owner.name}.${inner}` : inner;
}

function main() {
  const triage = JSON.parse(fs.readFileSync(path.join(ROOT, "slither.triage.json"), "utf8"));
  const known = new Map(triage.map((entry) => [`${entry.check} ${entry.where}`, entry]));
  const findings = analyse();
  const seen = new Set();
  let untriaged = 0;
  for (const finding of findings.filter(({ impact }) => JUDGED.includes(impact))) {
    const key = `${finding.check} ${placeOf(finding)}`;
    seen.add(key);
    if (known.has(key)) continue;
    untriaged += 1;
    console.error(`${finding.impact} ${key}\n  ${finding.description.trim().replaceAll("\n", "\n  ")}`);
  }
  const stale = [...known.keys()].filter((key) => !seen.has(key));
  stale.forEach((key) => console.error(`slither.triage.json: expected a finding for ${key}, was none; remove the entry`));
  const counts = ["High", "Medium", "Low", "Informational", "Optimization"].map(
    (impact) => `${findings.filter((finding) => finding.impact === impact).length} ${impact.toLowerCase()}`
  );
  console.log(`slither: ${counts.join(", ")}; ${untriaged} of high and medium not triaged`);
  process.exitCode = untriaged + stale.length === 0 ? 0 : 1;
}

main();
