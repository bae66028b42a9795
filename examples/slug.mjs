#!/usr/bin/env node
// A task in JavaScript. An exception becomes one JSON line on stderr and exit code 1.
//
//   [commands]
//   "queue:node" = ["node", "examples/slug.mjs"]
import { readFileSync } from "node:fs";

try {
  const { args, attempt } = JSON.parse(readFileSync(0, "utf8"));
  console.log(`attempt ${attempt}`);
  const slug = args[0].toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-");
  console.log(JSON.stringify({ slug }));
} catch (error) {
  console.error(JSON.stringify({ type: error.name, message: error.message, traceback: error.stack }));
  process.exitCode = 1;
}
