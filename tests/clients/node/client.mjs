// The OpenFeature SDK of Node with the provider that is asked for; README.md has the protocol.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { FlagdProvider } from '@openfeature/flagd-provider';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';

const [mode, host, port] = process.argv.slice(2);
const quiet = { error() {}, warn() {}, info() {}, debug() {} };
OpenFeature.setLogger(quiet);
await OpenFeature.setProviderAndWait(
  mode === 'ofrep'
    ? new OFREPProvider({ baseUrl: `http://${host}:${port}` })
    : new FlagdProvider({ host, port: Number(port), resolverType: mode, retryBackoffMaxMs: 500 }, quiet),
);
const client = OpenFeature.getClient();
const evaluate = {
  boolean: (...args) => client.getBooleanDetails(...args),
  string: (...args) => client.getStringDetails(...args),
  number: (...args) => client.getNumberDetails(...args),
  integer: (...args) => client.getNumberDetails(...args),
  object: (...args) => client.getObjectDetails(...args),
};

async function answer({ key, type, default: fallback, context }) {
  const { value, variant, reason, errorCode } = await evaluate[type](key, fallback, context);
  return JSON.stringify({ value, variant: variant ?? '', reason: reason ?? '', error: errorCode ?? '' });
}

const atATime = 32;

async function answerAll({ requests, results }) {
  const out = await open(results, 'w');
  let done = 0;
  let waiting = [];
  const flush = async () => {
    done += waiting.length;
    const answers = await Promise.all(waiting);
    waiting = [];
    await out.write(answers.map((one) => one + '\n').join(''));
  };
  for await (const line of createInterface({ input: createReadStream(requests) })) {
    waiting.push(answer(JSON.parse(line)));
    if (waiting.length === atATime) await flush();
  }
  await flush();
  await out.close();
  return JSON.stringify({ done });
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(await (request.requests ? answerAll(request) : answer(request)));
}
process.exit(0);
