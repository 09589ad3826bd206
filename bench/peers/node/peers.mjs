// Times npm's flagd-core and the Unleash engine on the flags and contexts of flag_bench, which starts this:
//   node peers.mjs FLAGS.json CONTEXTS.json EVALUATIONS
// One line of JSON for each engine: {name, static_ns, targeted_ns, percentage_ns, in}, `in` being how many of
// the contexts the percentage rule lets in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.cwd() + '/peers.cjs');
const [flagsFile, contextsFile, count] = process.argv.slice(2);
const flags = readFileSync(flagsFile, 'utf8');
const contexts = JSON.parse(readFileSync(contextsFile, 'utf8'));
const evaluations = Number(count);
const rounds = 7;

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

// CPU time of the process: what other programs take from the machine is not in it.
function cpuNanoseconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function nanoseconds(evaluate) {
  const taken = [];
  let sink = 0;
  for (let round = -2; round < rounds; ++round) {
    const begin = cpuNanoseconds();
    for (let i = 0; i < evaluations; ++i) sink += evaluate(contexts[i & (contexts.length - 1)]) ? 1 : 0;
    if (round >= 0) taken.push((cpuNanoseconds() - begin) / evaluations);
  }
  if (sink < 0) throw new Error('unreachable');
  return median(taken);
}

function report(name, evaluate) {
  const [fixed, targeted, percentage] = ['fixed', 'targeted', 'percentage'].map((key) => (c) => evaluate(key, c));
  const line = {
    name,
    static_ns: nanoseconds(fixed),
    targeted_ns: nanoseconds(targeted),
    percentage_ns: nanoseconds(percentage),
    in: contexts.filter((context) => percentage(context)).length,
  };
  console.log(JSON.stringify(line));
}

function flagdCore() {
  const { FlagdCore } = require('@openfeature/flagd-core');
  const core = new FlagdCore();
  core.setConfigurations(flags);
  const { version } = require('@openfeature/flagd-core/package.json');
  report(`npm flagd-core ${version}`, (key, context) =>
    core.resolveBooleanEvaluation(key, false, context).value);
}

// The same three flags in Unleash's words; its percentage hashes otherwise, so it lets in somebody else.
function unleashFeatures() {
  const share = { rollout: '25', stickiness: 'userId', groupId: 'percentage' };
  const feature = (name, strategies) => ({ name, type: 'release', enabled: true, stale: false, strategies, variants: [] });
  const gold = { contextName: 'tier', operator: 'IN', values: ['gold'], caseInsensitive: false, inverted: false };
  const country = { ...gold, contextName: 'country', values: ['us', 'ca'] };
  return [
    feature('fixed', [{ name: 'default', parameters: {}, constraints: [] }]),
    feature('targeted', [
      { name: 'default', parameters: {}, constraints: [country] },
      { name: 'default', parameters: {}, constraints: [gold] },
    ]),
    feature('percentage', [{ name: 'flexibleRollout', parameters: share, constraints: [] }]),
  ];
}

async function unleash() {
  const { Unleash } = require('unleash-client');
  const { version } = require('unleash-client/package.json');
  const client = new Unleash({
    appName: 'bench',
    url: 'http://127.0.0.1:9/',
    refreshInterval: 0,
    disableMetrics: true,
    skipInstanceCountWarning: true,
    bootstrap: { data: unleashFeatures() },
    storageProvider: { get: async () => undefined, set: async () => undefined },
  });
  client.on('error', () => undefined);
  client.on('warn', () => undefined);
  const asUnleash = new Map(contexts.map((c) => [c, {
    userId: c.targetingKey,
    properties: { country: c.country, tier: c.tier, context: c.context },
  }]));
  for (let i = 0; i < 200 && !client.isEnabled('fixed'); ++i) await new Promise((done) => setTimeout(done, 10));
  if (!client.isEnabled('fixed')) throw new Error('the features were not loaded');
  report(`npm unleash-client ${version}`, (key, context) => client.isEnabled(key, asUnleash.get(context)));
  client.destroy();
}

for (const peer of [flagdCore, unleash]) {
  try {
    await peer();
  } catch (error) {
    console.log(JSON.stringify({ name: peer.name, skipped: String(error.message ?? error).split('\n')[0] }));
  }
}
process.exit(0);
