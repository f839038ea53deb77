// Evaluates each line of standard input, {"expression", "bindings"}, and prints {"value"},
// {"nothing"} or {"error"}, with JSONata's reference implementation.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const jsonata = createRequire(`${process.argv[2]}/`)("jsonata");
const hash = (text, algorithm) => createHash(algorithm.replace("-", "")).update(text).digest("hex");

for await (const line of createInterface({ input: process.stdin })) {
  const { expression, bindings } = JSON.parse(line);
  let answer;
  try {
    const compiled = jsonata(expression);
    compiled.registerFunction("hash", hash);
    const value = await compiled.evaluate(undefined, bindings);
    answer = value === undefined ? { nothing: true } : { value };
  } catch (error) {
    answer = { error: error.code ?? String(error) };
  }
  console.log(JSON.stringify(answer));
}
