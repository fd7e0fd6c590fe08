// Runs CloudFront functions: a line of JSON in ({code, event}), a line of JSON out ({result} or {error}).
import readline from 'node:readline';
import vm from 'node:vm';

// "JavaScript runtime 2.0 features for CloudFront Functions": built-in objects, error types, globals.
const DOCUMENTED = new Set([
  'Object', 'Function', 'Boolean', 'Symbol', 'Number', 'Math', 'Date', 'String', 'RegExp', 'Array', 'JSON',
  'Promise', 'ArrayBuffer', 'DataView', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array',
  'Uint16Array', 'Int32Array', 'Uint32Array', 'Float32Array', 'Float64Array',
  'Error', 'EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError',
  'decodeURI', 'decodeURIComponent', 'encodeURI', 'encodeURIComponent', 'isFinite', 'isNaN', 'parseFloat',
  'parseInt', 'NaN', 'Infinity', 'undefined', 'globalThis', 'console',
]);

async function run({code, event}) {
  const quiet = {log() {}};
  // Restricted features: no code out of strings.
  const context = vm.createContext({console: quiet}, {codeGeneration: {strings: false, wasm: false}});
  const names = vm.runInContext('Object.getOwnPropertyNames(globalThis)', context);
  for (const name of names) {
    if (!DOCUMENTED.has(name)) vm.runInContext(`delete globalThis.${name}`, context);
  }
  vm.runInContext(code, context, {timeout: 1000});
  // The event is made inside, so that no object of node's own world gets in.
  const call = `handler(JSON.parse(${JSON.stringify(JSON.stringify(event))}))`;
  return await vm.runInContext(call, context, {timeout: 1000});
}

for await (const line of readline.createInterface({input: process.stdin})) {
  let reply;
  try {
    reply = {result: await run(JSON.parse(line))};
  } catch (error) {
    reply = {error: String(error)};
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
