#!/usr/bin/env node
// Measures what the tests reach of src/ and fails below 95 % of lines or of branches in any file. Development tokens are
// left out. Few fuzz runs do: what only luck reaches does not count as tested.
const { execFileSync } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");

const ROOT = path.join(__dirname, "..");
const FORGE = path.join(ROOT, "node_modules/@foundry-rs/forge-linux-amd64/bin/forge");
const LEAST_PERCENT = 95;
const ENVIRONMENT = { FOUNDRY_FUZZ_RUNS: "16", FOUNDRY_INVARIANT_RUNS: "4", FOUNDRY_INVARIANT_DEPTH: "40" };

function measure(work) {
  const report = path.join(work, "lcov.info");
  const options = ["coverage", "--report", "lcov", "--report-file", report, "--no-match-contract", "GasTest"];
  options.push("--out", path.join(work, "out"), "--cache-path", path.join(work, "cache"));
  execFileSync(FORGE, options, { cwd: ROOT, env: { ...process.env, ...ENVIRONMENT }, stdio: ["ignore", "ignore", "inherit"] });
  return fs.readFileSync(report, "utf8");
}

// The counts of one file's record: LF and LH are lines found and hit, BRF and BRH branches.
function read(record) {
  const count = (key) => Number(record.match(new RegExp(`^${key}:(\\d+)$`, "m"))[1]);
  return { file: record.match(/^SF:(.*)$/m)[1], lines: [count("LH"), count("LF")], branches: [count("BRH"), count("BRF")] };
}

function main() {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "orrange-coverage-"));
  try {
    const records = measure(work).split("end_of_record\n").filter((record) => /^SF:src\/(?!dev\/)/m.test(record)).map(read);
    if (records.length === 0) throw new Error("expected records of files in src, was none");
    let below = 0;
    for (const { file, lines, branches } of records) {
      const parts = [["lines", lines], ["branches", branches]].map(([name, [hit, found]]) => {
        if (hit * 100 < found * LEAST_PERCENT) below += 1;
        return `${hit} of ${found} ${name}`;
      });
      console.log(`${file}: ${parts.join(", ")}`);
    }
    if (below > 0) console.error(`expected at least ${LEAST_PERCENT} % of lines and branches in each file, was less in ${below} places`);
    process.exitCode = below === 0 ? 0 : 1;
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

main();
