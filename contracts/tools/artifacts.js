#!/usr/bin/env node
// Compiles src/ from nothing and writes the artifacts that the Python package carries, or with `--check` compares them.
// The bytes depend on the sources, the pinned compiler and foundry.toml alone, so that anybody can rebuild them.
const { execFileSync } = require("child_process");
const crypto = require("crypto");
const fs = require("fs");
const os = require("os");
const path = require("path");

const ROOT = path.join(__dirname, "..");
const FORGE = path.join(ROOT, "node_modules/@foundry-rs/forge-linux-amd64/bin/forge");
const TARGET = path.join(ROOT, "../orrange_p2p/chain/artifacts");
const CONTRACTS = ["OrrangeVault", "OrrangeSettlement", "OrrangeEscrow", "OrrangeSlasher", "OrrangeSwap", "OrrangeFactory", "TestToken"];

function render(out, contractName) {
  const built = JSON.parse(fs.readFileSync(path.join(out, `${contractName}.sol`, `${contractName}.json`), "utf8"));
  const bytecode = built.bytecode.object;
  if (!/^0x([0-9a-f]{2})+$/.test(bytecode)) throw new Error(`${contractName}: expected linked hex bytecode, was ${bytecode}`);
  return JSON.stringify({ contractName, abi: built.abi, bytecode, runtime: describeRuntime(built.deployedBytecode) }, null, 2) + "\n";
}

// What the code on a chain must be but for its immutables, which the constructor writes into the given ranges.
function describeRuntime({ object, immutableReferences }) {
  const code = Buffer.from(object.slice(2), "hex");
  const ranges = Object.values(immutableReferences ?? {}).flat().map(({ start, length }) => [start, length]);
  const sha256 = crypto.createHash("sha256").update(code).digest("hex");
  return { bytes: code.length, sha256: `0x${sha256}`, immutables: ranges.sort((a, b) => a[0] - b[0]).flat() };
}

function main() {
  const check = process.argv.includes("--check");
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "orrange-artifacts-"));
  let stale = 0;
  try {
    const out = path.join(work, "out");
    const options = ["build", "src", "--force", "--out", out, "--cache-path", path.join(work, "cache")];
    execFileSync(FORGE, options, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
    fs.mkdirSync(TARGET, { recursive: true });
    for (const name of CONTRACTS) {
      const file = path.join(TARGET, `${name}.json`);
      const text = render(out, name);
      if (!check) {
        fs.writeFileSync(file, text);
      } else if (!fs.existsSync(file) || fs.readFileSync(file, "utf8") !== text) {
        stale += 1;
        console.error(`${file}: expected the bytes that the sources compile to, was something else; run \`npm run artifacts\``);
      }
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
  process.exit(stale === 0 ? 0 : 1);
}

main();
