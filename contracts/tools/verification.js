#!/usr/bin/env node
// Writes what explorers want to verify a contract with, verification/NAME.json: the standard JSON input of exactly the
// sources it is made of. Each is compiled anew from that input alone and must give the artifact's bytes, so that what an
// explorer gets is known to reproduce them. Nothing is committed: the bytes follow from the sources and the compiler.
const { execFileSync } = require("child_process");
const fs = require("fs");
const os = require("os");
const path = require("path");
const solc = require("solc");

const ROOT = path.join(__dirname, "..");
const FORGE = path.join(ROOT, "node_modules/@foundry-rs/forge-linux-amd64/bin/forge");
const ARTIFACTS = path.join(ROOT, "../orrange_p2p/chain/artifacts");
const TARGET = path.join(ROOT, "verification");

function build(work) {
  const options = ["build", "src", "--force", "--build-info", "--build-info-path", path.join(work, "info")];
  options.push("--out", path.join(work, "out"), "--cache-path", path.join(work, "cache"));
  execFileSync(FORGE, options, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  const [file] = fs.readdirSync(path.join(work, "info"));
  return JSON.parse(fs.readFileSync(path.join(work, "info", file), "utf8"));
}

function inputOf(built, source, name) {
  const { metadata } = built.output.contracts[source][name];
  const { settings } = built.input;
  const sources = {};
  for (const file of Object.keys(JSON.parse(metadata).sources).sort()) {
    sources[file] = { content: built.input.sources[file].content };
  }
  return {
    language: "Solidity",
    sources,
    settings: {
      remappings: settings.remappings,
      optimizer: settings.optimizer,
      metadata: settings.metadata,
      evmVersion: settings.evmVersion,
      viaIR: settings.viaIR,
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  };
}

function main() {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), "orrange-verification-"));
  let failures = 0;
  try {
    const built = build(work);
    fs.rmSync(TARGET, { recursive: true, force: true });
    fs.mkdirSync(TARGET);
    for (const file of fs.readdirSync(ARTIFACTS).filter((name) => name.startsWith("Orrange")).sort()) {
      const { contractName, bytecode } = JSON.parse(fs.readFileSync(path.join(ARTIFACTS, file), "utf8"));
      const source = `src/${contractName}.sol`;
      const text = JSON.stringify(inputOf(built, source, contractName), null, 2) + "\n";
      const output = JSON.parse(solc.compile(text));
      const found = output.contracts?.[source]?.[contractName]?.evm.bytecode.object;
      if (`0x${found}` !== bytecode) {
        failures += 1;
        console.error(`${contractName}: expected its input to compile to the artifact's bytes, was something else`);
        continue;
      }
      fs.writeFileSync(path.join(TARGET, `${contractName}.json`), text);
      console.log(`verification/${contractName}.json: ${source}:${contractName}, solc ${solc.version()}`);
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
  process.exit(failures === 0 ? 0 : 1);
}

main();
