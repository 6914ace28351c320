// aws-local-stepfunctions, in this process and in memory, on a definition of the States Language. Prints seconds.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Its third release asks for Node 22 for the sake of this one function.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const there = createRequire(`${process.argv[2]}/`);
const { StateMachine } = await import(pathToFileURL(there.resolve("aws-local-stepfunctions")));
const definition = JSON.parse(readFileSync("definition.json", "utf-8"));
const input = JSON.parse(readFileSync("input.json", "utf-8"));
const overrides = { taskResourceLocalHandlers: { Work: async (event) => event } };
const machine = new StateMachine(definition, {});
const begun = performance.now();
await machine.run(input, { overrides }).result;
console.log((performance.now() - begun) / 1000);
