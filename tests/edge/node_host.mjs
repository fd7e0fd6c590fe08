// Runs CloudFront functions: a line of JSON in ({code, call, arguments, store, raw}), a line of JSON out
// ({result} or {error}). `call` is handler, or another function of the code, for each of `arguments`.
import crypto from 'node:crypto';
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

// The same page, "Built-in modules", as far as ours asks: an import of another one fails.
const MODULES = {
  // "Helper methods for key value stores": get fails where there is no such key.
  cloudfront: store => ({kvs() {
    if (!store) throw new Error('no KeyValueStore is associated');
    return {
      async get(key) {
        if (!Object.hasOwn(store, key)) throw new Error('KeyNotFound');
        return store[key];
      },
    };
  }}),
  crypto: () => ({createHmac(algorithm, key) {
    if (!['md5', 'sha1', 'sha256'].includes(algorithm)) throw new Error('not supported');
    const hmac = crypto.createHmac(algorithm, key);
    return {
      update(text) {
        hmac.update(text);
        return this;
      },
      digest: encoding => hmac.digest(encoding),
    };
  }}),
};
const IMPORT = /^import (\w+) from ?'(\w+)';?$/gm;

function worldOf({code, store, now}) {
  const quiet = {log() {}};
  // Restricted features: no code out of strings.
  const context = vm.createContext({console: quiet}, {codeGeneration: {strings: false, wasm: false}});
  const names = vm.runInContext('Object.getOwnPropertyNames(globalThis)', context);
  for (const name of names) {
    if (!DOCUMENTED.has(name)) vm.runInContext(`delete globalThis.${name}`, context);
  }
  if (now != null) vm.runInContext(`Date.now = () => ${now} * 1000`, context);
  for (const [, name, module] of code.matchAll(IMPORT)) context[name] = MODULES[module](store);
  vm.runInContext(code.replace(IMPORT, ''), context, {timeout: 1000});
  return context;
}

async function run(asked) {
  const context = worldOf(asked);
  if (asked.call) {
    const all = JSON.stringify(JSON.stringify(asked.arguments));
    return vm.runInContext(`JSON.parse(${all}).map(each => ${asked.call}.apply(null, each))`, context, {timeout: 60000});
  }
  // The event is made inside, so that no object of node's own world gets in.
  context.text = JSON.stringify(asked.event);
  const event = vm.runInContext('JSON.parse(text)', context);
  delete context.text;
  // "General helper methods": undefined without a question mark.
  if (event.request?.uri) Object.defineProperty(event.request, 'rawQueryString', {value: () => asked.raw ?? undefined});
  context.event = event;
  return await vm.runInContext('handler(event)', context, {timeout: 1000});
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
