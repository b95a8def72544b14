#!/usr/bin/env node
// Gives forge the npm build of solc (wasm) under the interface of the native compiler: `--version`, or standard JSON on stdin.
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const args = process.argv.slice(2);
if (args.includes("--version")) {
  // Forge knows native compilers only, so the platform is named as one.
  const version = solc.version().replace("Emscripten.clang", "Linux.g++");
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}\n`);
} else {
  const at = args.indexOf("--base-path");
  const root = at < 0 ? process.cwd() : args[at + 1];
  const read = (name) => {
    try {
      return { contents: fs.readFileSync(path.resolve(root, name), "utf8") };
    } catch (error) {
      return { error: error.message };
    }
  };
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8"), { import: read }));
}
