// Validates an AsyncAPI document with the official parser: node asyncapi.mjs FILE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Parser } = createRequire(`${process.cwd()}/`)("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const { severity, path, message } of diagnostics) {
  console.log(`${["error", "warning", "info", "hint"][severity]} ${path.join(".")}: ${message}`);
}
process.exitCode = document && !diagnostics.some(({ severity }) => severity <= 1) ? 0 : 1;
