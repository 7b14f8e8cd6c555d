// The other side of the interoperation test: @serenity-kit/opaque-p256, which is opaque-ke
// (Rust) in WASM. It reads one JSON object a line, {"call": [side, step], "args": {...}},
// and answers with one, {"result": ...} or {"error": "..."}. The test decides everything.
import readline from "node:readline";
import * as opaque from "@serenity-kit/opaque-p256";

await opaque.ready;

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { call: [side, step], args } = JSON.parse(line);
    // Undefined is how a wrong password is reported; JSON knows only null.
    answer = { result: opaque[side][step](args) ?? null };
  } catch (e) {
    answer = { error: String(e) };
  }
  console.log(JSON.stringify(answer));
}
