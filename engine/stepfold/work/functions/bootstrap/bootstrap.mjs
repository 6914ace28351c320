// The runtime of Node handlers: asks the engine for events over the socket it was started with, and answers them.
//
//     bootstrap.mjs SOCKET
//
// A handler is `exports.handler` of a CommonJS or ES module: async, returning a promise, or with a callback. A result
// given to the callback leaves when the event loop is empty, unless `context.callbackWaitsForEmptyEventLoop` is false;
// a loop that empties without any result answers null. Both are Lambda's rules, and the reason why the socket must
// not keep the loop alive while a handler runs.

import { existsSync, readFileSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { Socket } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { types } from "node:util";

const API = "/2018-06-01/runtime/";
const { exit } = process; // a handler may put another in its place

// ---- the Runtime API over one socket ----

class Api {
  constructor(descriptor) {
    this.socket = new Socket({ fd: descriptor, readable: true, writable: true });
    this.socket.on("data", (data) => this.hear(data));
    this.socket.on("error", () => exit(0));
    this.socket.on("close", () => exit(0)); // the engine has gone
    this.parts = [];
    this.size = 0;
    this.needed = 0; // bytes until the answer is complete; 0 while its head is not known
    this.answered = null;
  }

  ask(method, path, body = "", kind = "") {
    const bytes = Buffer.from(body);
    const head =
      `${method} ${API}${path} HTTP/1.1\r\nHost: stepfold\r\nContent-Length: ${bytes.length}\r\n` +
      (kind ? `Lambda-Runtime-Function-Error-Type: ${kind.replace(/[^\x20-\x7e]/g, "?")}\r\n` : "");
    this.socket.ref();
    return new Promise((answered) => {
      this.answered = answered;
      this.socket.write(Buffer.concat([Buffer.from(head + "\r\n", "latin1"), bytes]));
    });
  }

  hear(data) {
    this.parts.push(data);
    this.size += data.length;
    if (this.size < this.needed) return;
    const all = this.parts.length === 1 ? data : Buffer.concat(this.parts);
    this.parts = [all];
    const end = all.indexOf("\r\n\r\n");
    if (end < 0) return;
    const headers = {};
    for (const line of all.toString("latin1", 0, end).split("\r\n").slice(1)) {
      const colon = line.indexOf(":");
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    this.needed = end + 4 + Number(headers["content-length"] ?? 0);
    if (all.length < this.needed) return;
    const body = all.subarray(end + 4, this.needed);
    this.parts = [];
    this.size = this.needed = 0;
    this.socket.unref(); // until the next question, the loop is the handler's alone
    const answered = this.answered;
    this.answered = null;
    answered?.({ headers, body });
  }
}

// ---- errors as Lambda writes them ----

function isError(value) {
  return types.isNativeError(value) || value instanceof Error ||
    (typeof value === "object" && value !== null && "message" in value && "stack" in value && "name" in value);
}

function shaped(error) {
  if (isError(error)) {
    const trace = asDeployed(String(error.stack ?? "")).split("\n");
    return { errorType: String(error.name), errorMessage: String(error.message), trace };
  }
  let text;
  try {
    text = String(error);
  } catch {
    text = Object.prototype.toString.call(error);
  }
  return { errorType: typeof error, errorMessage: text, trace: [] };
}

// Paths as Lambda would have had them: histories are to be alike, wherever the function's folder lies.
function asDeployed(stack) {
  const root = process.env.LAMBDA_TASK_ROOT;
  if (!root) return stack;
  for (const folder of new Set([realpathSync(root), resolve(root)])) stack = stack.replaceAll(folder + "/", "/var/task/");
  return stack;
}

function named(name, message, from) {
  const error = new Error(message);
  error.name = name;
  if (from?.stack) error.stack = `${name}: ${message}\n${String(from.stack).split("\n").slice(1).join("\n")}`;
  return error;
}

// ---- finding the handler ----

function isModule(file) {
  if (file.endsWith(".mjs")) return true;
  if (file.endsWith(".cjs")) return false;
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const description = join(folder, "package.json");
    if (existsSync(description)) {
      try {
        return JSON.parse(readFileSync(description, "utf8")).type === "module";
      } catch {
        return false;
      }
    }
    if (folder === dirname(folder)) return false;
  }
}

async function load(root, name) {
  const last = basename(name);
  const dot = last.indexOf(".");
  if (dot < 1 || name.includes("..")) throw named("Runtime.MalformedHandlerName", "Bad handler");
  const path = resolve(root, join(dirname(name), last.slice(0, dot)));
  const file = ["", ".js", ".mjs", ".cjs"].map((end) => path + end).find((one) => existsSync(one) && one !== path) ??
    ["index.js", "index.mjs", "index.cjs"].map((one) => join(path, one)).find((one) => existsSync(one));
  if (!file) throw named("Runtime.ImportModuleError", `Error: Cannot find module '${basename(path)}'`);
  let found;
  try {
    found = isModule(file) ? await import(pathToFileURL(file).href) : createRequire(file)(file);
  } catch (error) {
    if (error instanceof SyntaxError) throw named("Runtime.UserCodeSyntaxError", String(error), error);
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND") {
      throw named("Runtime.ImportModuleError", String(error), error);
    }
    throw error;
  }
  const keys = last.slice(dot + 1).split(".");
  let handler = keys.reduce((from, key) => from?.[key], found);
  handler ??= keys.reduce((from, key) => from?.[key], found?.default);
  if (handler === undefined || handler === null) {
    throw named("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  }
  if (typeof handler !== "function") throw named("Runtime.HandlerNotFound", `${name} is not a function`);
  return handler;
}

// ---- one event ----

let emptied = null; // what to do when the event loop is empty
let unhandled = null; // what to do with an error that nobody caught
process.on("beforeExit", () => {
  const act = emptied;
  emptied = null;
  act?.();
});

function contextOf(headers, state, settle) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const { env } = process;
  return {
    get callbackWaitsForEmptyEventLoop() {
      return state.waits;
    },
    set callbackWaitsForEmptyEventLoop(waits) {
      state.waits = waits;
    },
    succeed: (result) => {
      state.waits = false;
      settle(null, result);
    },
    fail: (error) => {
      state.waits = false;
      settle(error ?? "handled", undefined);
    },
    done: (error, result) => {
      state.waits = false;
      settle(error, result);
    },
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: undefined,
    identity: undefined,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// The outcome of one event: { error } or { result }. The first to settle counts.
function run(handler, headers, body) {
  return new Promise((finished) => {
    const state = { waits: true, settled: false };
    const finish = (outcome) => {
      emptied = null;
      finished(outcome);
    };
    const settle = (error, result) => {
      if (state.settled) return;
      state.settled = true;
      if (error !== undefined && error !== null) return finish({ error });
      if (!state.waits) return finish({ result });
      emptied = () => finish({ result });
    };
    emptied = () => finish({ result: null });
    unhandled = (error) => finish({ error, ends: true });
    let returned;
    try {
      returned = handler(JSON.parse(body), contextOf(headers, state, settle), settle);
    } catch (error) {
      state.settled = true;
      return finish({ error });
    }
    if (typeof returned?.then === "function") {
      returned.then(
        (result) => {
          if (!state.settled) finish({ result });
          state.settled = true;
        },
        (error) => {
          if (!state.settled) finish({ error: error ?? named("Error", String(error)) });
          state.settled = true;
        },
      );
    }
  });
}

function written(result) {
  try {
    return JSON.stringify(result) ?? "null"; // undefined, and whatever JSON has no word for
  } catch (error) {
    throw new Error(`Unable to stringify response body: ${error.message}`);
  }
}

async function answer(api, handler, { headers, body }) {
  const request = headers["lambda-runtime-aws-request-id"];
  let { error, result, ends } = await run(handler, headers, body.toString("utf8"));
  unhandled = (late) => {
    console.error(late);
    ends = true;
  };
  if (error === undefined) {
    try {
      result = written(result);
    } catch (problem) {
      error = problem;
    }
  }
  if (error === undefined) {
    await api.ask("POST", `invocation/${request}/response`, result);
  } else {
    const fault = shaped(error);
    await api.ask("POST", `invocation/${request}/error`, JSON.stringify(fault), fault.errorType);
  }
  if (ends) exit(129); // as Lambda's does after an error that nobody caught
  unhandled = lost;
}

// An error between two events: no call can be told, so the process ends and the next call gets a new one.
function lost(error) {
  console.error(error);
  exit(129);
}

async function main() {
  const api = new Api(Number(process.argv.pop()));
  process.argv.length = 1;
  const startError = async (error) => {
    const fault = shaped(error);
    await api.ask("POST", "init/error", JSON.stringify(fault), fault.errorType);
    exit(1);
  };
  unhandled = startError;
  process.on("uncaughtException", (error) => unhandled(error));
  process.on("unhandledRejection", (reason) =>
    unhandled(named("Runtime.UnhandledPromiseRejection", String(reason), reason)));
  let handler;
  try {
    handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
  } catch (error) {
    return startError(error);
  }
  unhandled = lost;
  for (;;) await answer(api, handler, await api.ask("GET", "invocation/next"));
}

await main();
