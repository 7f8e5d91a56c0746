// A server that speaks docs/http-api.md over data in memory, for developing and testing the dashboard without quern.
//
//     node tests/http/dashboard/stand_in.mjs [--port 8090] [--open]      # the key is "demo-key", or "viewer-key" to only look
//
// It serves the dashboard's files as the library does. Jobs move on by themselves, and /test/... lets a test move them.

import {createHash, randomBytes} from 'node:crypto';
import {readFileSync, readdirSync} from 'node:fs';
import {createServer} from 'node:http';
import {dirname, extname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const files = join(dirname(fileURLToPath(import.meta.url)), '../../../src/http/dashboard');
const types = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.svg': 'image/svg+xml'};
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const states = ['blocked', 'scheduled', 'ready', 'running', 'completed', 'dead', 'cancelled'];
const ended = (state) => ['completed', 'dead', 'cancelled'].includes(state);
const iso = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, (text) => (text === '.000Z' ? 'Z' : text));
const second = 1000;

// The same in each run.
function random(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

const all = ['alerts.manage', 'alerts.read', 'audit.read', 'config.read', 'digests.read', 'events.read', 'jobs.create', 'jobs.delete', 'jobs.manage', 'jobs.read',
  'jobs.read_secret', 'keys.manage', 'metrics.read', 'queues.manage', 'queues.read', 'schedules.manage', 'schedules.read', 'schedules.trigger', 'workers.manage', 'workers.read'];
const viewer = ['alerts.read', 'digests.read', 'events.read', 'jobs.read', 'metrics.read', 'queues.read', 'schedules.read', 'workers.read'];

const kinds = [
  {kind: 'mail.send', queue: 'mail', fails: 'SMTP 451 from mx1.example.org: greylisted, try again in 300 seconds'},
  {kind: 'report.build', queue: 'reports', fails: 'division by zero in column "margin" of row 4711'},
  {kind: 'image.resize', queue: 'default', fails: 'cannot decode image 9f31c2: truncated after 81920 bytes'},
  {kind: 'invoice.charge', queue: 'billing', fails: 'gateway timed out after 30 s for customer 8812'},
  {kind: 'index.refresh', queue: 'default', fails: 'connection to 10.0.3.17:9200 refused'},
];

export function makeWorld({quiet = false, amount = 320} = {}) {
  const draw = random(17);
  const any = (list) => list[Math.floor(draw() * list.length)];
  const world = {
    jobs: new Map(), next: 1, quiet, listeners: new Set(), events: [], eventId: 0, paused: new Set(), limits: new Map(), mostWaiting: new Map([['billing', 1000]]),
    schedules: new Map(), silences: new Map(), nextSilence: 1, keys: new Map(), audit: [], requests: [], started: Date.now(),
    users: new Map([
      ['demo-key', {name: 'alice@example.org', via: 'key', permissions: all, tenants: null, queues: null}],
      ['viewer-key', {name: 'watcher', via: 'key', permissions: viewer, tenants: null, queues: null}],
      ['acme-key', {name: 'acme', via: 'key', permissions: viewer, tenants: ['acme'], queues: null}],
    ]),
    totals: new Map(),
  };

  const tell = (type, data) => {
    world.eventId += 1;
    const event = {id: world.eventId, type, data: {type, at: iso(Date.now()), ...data}};
    world.events.push(event);
    if (world.events.length > 500) world.events.shift();
    world.listeners.forEach((listener) => listener(event));
  };
  world.tell = tell;
  const tellJob = (what, job, more = {}) => tell(`job.${what}`, {job: job.id, kind: job.kind, queue: job.queue, attempt: job.attempt, ...more});

  const total = (job, name) => {
    const key = `${job.queue}\n${job.kind}`;
    if (!world.totals.has(key)) world.totals.set(key, {queue: job.queue, kind: job.kind, enqueued: 0, started: 0, completed: 0, failed: 0, retried: 0, dead: 0, cancelled: 0});
    world.totals.get(key)[name] += 1;
  };

  world.add = (spec) => {
    const now = Date.now();
    const job = {
      queue: 'default', priority: 4, tags: [], run: 1, attempt: 0, max_attempts: 5, cancel_requested: false, payload: null, errors: [], parents: [], epoch: 0, crashes: 0, snoozes: 0,
      created_at: iso(now), run_at: iso(now), state: 'ready', ...spec, id: String(world.next),
    };
    world.next += 1;
    world.jobs.set(job.id, job);
    total(job, 'enqueued');
    tellJob('created', job);
    return job;
  };
  world.start = (job) => {
    Object.assign(job, {state: 'running', attempt: job.attempt + 1, started_at: iso(Date.now()), node: '3', epoch: job.epoch + 1});
    delete job.finished_at;
    total(job, 'started');
    tellJob('started', job);
  };
  world.progress = (job, percent, message) => {
    job.progress = {percent, message};
    tellJob('progress_updated', job, {percent, progress: message});
  };
  world.complete = (job, result = {ok: true}) => {
    Object.assign(job, {state: 'completed', finished_at: iso(Date.now()), result});
    delete job.node;
    total(job, 'completed');
    tellJob('completed', job);
    for (const child of world.jobs.values()) {
      if (child.state !== 'blocked' || !child.parents.includes(job.id)) continue;
      if (child.parents.every((id) => ended(world.jobs.get(id)?.state || 'completed'))) child.state = 'ready';
    }
  };
  world.fail = (job, message, fault = 'error') => {
    const error = {attempt: job.attempt, at: iso(Date.now()), fault, message};
    job.errors.push(error);
    job.last_error = error;
    total(job, 'failed');
    tellJob('failed', job, {message});
    if (job.attempt >= job.max_attempts) {
      Object.assign(job, {state: 'dead', dead_reason: 'out_of_attempts', finished_at: iso(Date.now())});
      total(job, 'dead');
      tellJob('dead', job, {reason: 'out_of_attempts', message});
    } else {
      Object.assign(job, {state: 'scheduled', run_at: iso(Date.now() + 60 * second * 2 ** job.attempt)});
      total(job, 'retried');
      tellJob('retrying', job, {runAt: job.run_at, message});
    }
    delete job.node;
  };
  world.cancel = (job) => {
    Object.assign(job, {state: 'cancelled', finished_at: iso(Date.now()), end_message: 'cancelled by alice@example.org'});
    delete job.node;
    total(job, 'cancelled');
    tellJob('cancelled', job);
  };
  world.retry = (job) => {
    Object.assign(job, {state: 'ready', run: job.run + 1, attempt: 0, run_at: iso(Date.now())});
    for (const name of ['finished_at', 'dead_reason', 'end_message', 'started_at', 'progress', 'result']) delete job[name];
    tellJob('retrying', job, {runAt: job.run_at});
  };
  world.note = (who, action, object, outcome = 200, details = {}) => {
    world.audit.unshift({number: world.audit.length + 1, at: iso(Date.now()), who, via: 'key', id: 'k1', from: '192.0.2.7', action, object, outcome, details, hash: '00'});
  };

  // A past that looks like one.
  const began = Date.now();
  const lines = (job, at) => ({dropped: draw() < 0.1 ? 3 : 0, lines: [
    {at: iso(at), level: 'info', message: `begins with ${job.kind}`, fields: {attempt: job.attempt}},
    {at: iso(at + 120), level: 'debug', message: 'connected', fields: {host: 'db-2.internal', ms: 41}},
    {at: iso(at + 900), level: draw() < 0.3 ? 'warn' : 'info', message: 'page 2 took longer than usual', fields: {ms: 730, page: 2}},
  ]});
  for (let i = 0; i < amount; i += 1) {
    const {kind, queue, fails} = any(kinds);
    const at = began - Math.floor((amount - i) * 11 * second * (0.6 + draw()));
    const state = draw() < 0.62 ? 'completed' : any(['dead', 'dead', 'scheduled', 'ready', 'cancelled', 'blocked']);
    const job = world.add({
      kind, queue, state, created_at: iso(at), run_at: iso(at), created_by: any(['alice@example.org', 'deploy', 'schedule']), timeout: '30s',
      payload: {to: `user${i}@example.org`, template: 'welcome', attachments: [{name: 'terms.pdf', bytes: 48213}], api_token: '***', urgent: draw() < 0.2}, tags: draw() < 0.3 ? [any(['nightly', 'eu', 'import-42'])] : [],
    });
    if (draw() < 0.4) job.tenant = any(['acme', 'globex', 'initech']);
    const error = (attempt, when) => ({attempt, at: iso(when), fault: 'error', message: fails});
    if (state === 'completed') Object.assign(job, {attempt: 1, started_at: iso(at + 800), finished_at: iso(at + 800 + draw() * 9000), result: {sent: 1, ms: Math.floor(draw() * 900)}, log: lines(job, at + 800)});
    if (state === 'dead') {
      job.errors = [1, 2, 3, 4, 5].map((n) => error(n, at + n * 40 * second));
      Object.assign(job, {attempt: 5, started_at: iso(at + 190 * second), finished_at: job.errors[4].at, dead_reason: 'out_of_attempts', last_error: job.errors[4], log: lines(job, at)});
    }
    if (state === 'scheduled') {
      Object.assign(job, {run_at: iso(began + 60 * second + draw() * 9e6)});
      if (draw() < 0.5) Object.assign(job, {attempt: 2, errors: [error(1, at + 9e3), error(2, at + 60e3)]}, {last_error: error(2, at + 60e3)});
    }
    if (state === 'cancelled') Object.assign(job, {finished_at: iso(at + 5000), end_message: 'no longer needed'});
    if (state === 'blocked') Object.assign(job, {parents: [String(Math.max(1, i - 1)), String(Math.max(1, i - 2))], on_parent_failure: 'cancel'});
  }
  world.events.length = 0;
  for (let i = 0; i < 4; i += 1) {
    const {kind, queue} = kinds[i];
    const job = world.add({kind, queue, payload: {part: i}});
    world.start(job);
    world.progress(job, 10 + 20 * i, `page ${i + 1} of 5`);
  }

  world.limits.set('mail at once', {name: 'mail at once', queue: 'mail', kind: '', max_running: 8, running: 5, free: 3});
  world.limits.set('gateway', {name: 'gateway', queue: '', kind: 'invoice.charge', max_running: 2, running: 2, free: 0, rate: {count: 100, per: '1m', algorithm: 'sliding_window', burst: 0}, starts: 38, wait_s: 0});
  const schedule = (spec) => world.schedules.set(spec.name, {timing: {zone: 'UTC'}, queue: 'default', payload: null, priority: 4, tags: [], missed: 'once', when_busy: 'allow', skip_if_queue_busy: false,
    max_runs: 0, paused: false, declared: false, runs: 0, skipped: 0, lateness_mean_s: 0.2, lateness_max_s: 1.4, history: [], ...spec});
  const past = (hours, job, reason, n = 1) => ({instant: iso(began - hours * 36e5), last: iso(began - hours * 36e5), count: n, decided: iso(began - hours * 36e5 + 200), ...(job ? {job} : {reason})});
  schedule({name: 'daily-report', timing: {cron: '0 9 * * MON-FRI', zone: 'Europe/Berlin'}, kind: 'report.build', queue: 'reports', payload: {scope: 'all'}, declared: true, runs: 212, skipped: 3, last_job: '12',
    history: [past(2, '12', 'none'), past(26, null, 'busy'), past(50, '9', 'none'), past(90, null, 'missed', 14)]});
  schedule({name: 'refresh-index', timing: {every: '15m', zone: 'UTC', jitter: '30s'}, kind: 'index.refresh', runs: 4410, last_job: '31'});
  schedule({name: 'night-shift', timing: {cron: '30 2 * * *', zone: 'America/New_York', gap: 'next_valid'}, kind: 'image.resize', paused: true, runs: 80});
  schedule({name: 'broken-zone', timing: {cron: '0 0 * * *', zone: 'Mars/Olympus'}, kind: 'image.resize', fault: 'there is no time zone "Mars/Olympus" on this machine'});

  world.alerts = [
    {rule: 'queue_too_long', severity: 'warning', description: 'More jobs are ready than the workers get done.', labels: {queue: 'mail'}, status: 'firing', value: 612, threshold: 500, since: iso(began - 4e5), notified: true},
    {rule: 'too_many_failures', severity: 'critical', description: 'More than a fifth of the attempts of the last minutes failed.', labels: {kind: 'invoice.charge'}, status: 'firing', value: 0.31, threshold: 0.2, since: iso(began - 1e5), notified: true},
    {rule: 'job_runs_too_long', severity: 'warning', description: 'A job has been running for more than half an hour.', labels: {kind: 'report.build'}, status: 'pending', value: 1720, threshold: 1800, since: iso(began - 2e4), notified: false},
  ];
  world.rules = [
    {name: 'queue_too_long', metric: 'jobs', when: 'above', threshold: 500, severity: 'warning', description: 'More jobs are ready than the workers get done.', state: 'ready', queue: '', kind: '', holdFor: '1m', coolDown: '10m'},
    {name: 'too_many_failures', metric: 'failed_share', when: 'above', threshold: 0.2, severity: 'critical', description: 'More than a fifth of the attempts of the last minutes failed.', state: 'ready', queue: '', kind: '', holdFor: '0s', coolDown: '10m'},
    {name: 'too_few_workers', metric: 'healthy_workers', when: 'below', threshold: 2, severity: 'critical', description: 'Fewer than two workers are healthy.', state: 'ready', queue: '', kind: '', holdFor: '30s', coolDown: '10m'},
  ];
  world.workers = [1, 2, 3].map((n) => ({id: `worker-${n}`, state: 'active', healthy: n !== 3, reason: n === 3 ? 'has shown no life for 45 s' : '', max_jobs: 5, supported_kinds: n === 2 ? ['mail.send', 'invoice.charge'] : [],
    heartbeat_s: n === 3 ? 45.2 : 0.1 * n, started: 1200 * n, completed: 1100 * n, failed: 14 * n, failures_in_row: n === 3 ? 4 : 0, busy_s: 5321 * n}));
  world.nodes = [
    {id: '3', name: 'web-1', host: 'web-1.example.org', process: 4211, state: 'alive', running: 4, slots: 15, started_at: iso(began - 864e5), lease_left_s: 8.4, kinds: kinds.map(({kind}) => ({name: kind, slots: 5})), queues: null},
    {id: '4', name: 'batch-1', host: 'batch-1.example.org', process: 977, state: 'alive', running: 2, slots: 2, started_at: iso(began - 36e5), lease_left_s: 9.1, kinds: [{name: 'report.build', slots: 2}], queues: ['reports']},
  ];
  world.keys.set('k1', {id: 'k1', name: 'deploy', role: 'operator', permissions: [], tenants: null, queues: null, created_at: iso(began - 9e9), expires_at: null, last_used_at: iso(began - 6e4), revoked: false});
  world.keys.set('k2', {id: 'k2', name: 'grafana', permissions: ['metrics.read'], tenants: ['acme'], queues: null, created_at: iso(began - 9e8), expires_at: iso(began + 9e9), last_used_at: null, revoked: false});
  world.note('alice@example.org', 'queues.pause', 'queue/mail');
  world.note('deploy', 'jobs.delete', 'job/117', 403, {permission: 'jobs.delete'});

  // Work goes on: some begin, some make progress, some end.
  world.step = () => {
    for (const job of world.jobs.values()) {
      if (job.held) continue;
      if (job.state === 'running') {
        if (job.cancel_requested) world.cancel(job);
        else if ((job.progress?.percent || 0) >= 90) {
          if (draw() < 0.12) world.fail(job, kinds.find((one) => one.kind === job.kind)?.fails || 'failed');
          else world.complete(job);
        } else world.progress(job, Math.min(100, (job.progress?.percent || 0) + 15 + Math.floor(draw() * 25)), `page ${Math.floor(draw() * 9)} of 9`);
      } else if (job.state === 'ready' && !world.paused.has(job.queue) && [...world.jobs.values()].filter((one) => one.state === 'running').length < 6) {
        world.start(job);
      }
    }
    if (draw() < 0.8) {
      const {kind, queue} = any(kinds);
      world.add({kind, queue, payload: {n: world.next}});
    }
  };
  if (!quiet) world.timer = setInterval(world.step, 900);
  return world;
}

// What the API refuses.
class Problem extends Error {
  constructor(status, name, detail, errors) {
    super(detail);
    Object.assign(this, {status, name, errors});
  }
}
const notFound = () => new Problem(404, 'not-found', 'there is nothing of that name here');
const conflict = (detail) => new Problem(409, 'conflict', detail);
const invalid = (pointer, detail) => new Problem(422, 'invalid', 'a value is not allowed', [{pointer, detail}]);

const inPage = (job) => {
  const {payload, result, errors, parents, on_parent_failure, epoch, crashes, snoozes, trace, log, held, ...rest} = job;
  return rest;
};

function why(world, job) {
  if (job.state === 'running') return {reason: 'running', text: `It runs on node ${job.node}.`, since: job.started_at};
  if (ended(job.state)) return {reason: 'ended', text: 'It has ended.', since: job.finished_at};
  if (job.state === 'blocked') return {reason: 'parents', text: 'It waits for 2 jobs that have not ended as it needs.', parents: job.parents};
  if (job.state === 'scheduled') return {reason: job.errors.length ? 'backing_off' : 'scheduled', text: job.errors.length ? 'An attempt failed; the next one waits for its time.' : 'Its time has not come.', until: job.run_at};
  if (world.paused.has(job.queue)) return {reason: 'queue_paused', text: `The queue ${job.queue} is paused.`};
  return {reason: 'next', text: 'Nothing holds it back: a node will claim it when its turn has come.'};
}

function selected(world, filter) {
  const list = (value) => (value ? String(value).split(',') : null);
  const wanted = filter.states || list(filter.state);
  return [...world.jobs.values()].filter((job) => (!wanted || wanted.includes(job.state)) && (!filter.queue || job.queue === filter.queue) && (!filter.kind || job.kind === filter.kind)
    && (!filter.tenant || job.tenant === filter.tenant) && (!filter.tag || job.tags.includes(filter.tag)) && (!filter.created_from || Date.parse(job.created_at) >= Date.parse(filter.created_from))
    && (!filter.created_before || Date.parse(job.created_at) < Date.parse(filter.created_before)) && (!filter.failed_like || (job.last_error && fingerprint(job) === filter.failed_like)));
}

const fingerprint = (job) => createHash('sha256').update(job.kind + job.last_error.message.replace(/\d+/g, '#')).digest('hex').slice(0, 16);

function counts(world) {
  const sums = new Map();
  for (const job of world.jobs.values()) {
    const key = JSON.stringify([job.queue, job.kind, job.state]);
    sums.set(key, (sums.get(key) || 0) + 1);
  }
  return [...sums].map(([key, count]) => {
    const [queue, kind, state] = JSON.parse(key);
    return {queue, kind, state, count};
  });
}

const histogram = (base, n) => ({count: n, sum: base * n, ...(n ? {mean: base, min: base / 8, p50: base, p90: base * 2.5, p95: base * 3.4, p99: base * 7, max: base * 9} : {})});

function metrics(world) {
  const now = Date.now();
  const at = iso(now);
  const jobs = [...world.totals.values()].map((one, i) => ({...one, duplicates: 0, refused: 0, timed_out: 0, snoozed: 0, released: 0, lost: 0, wait_s: histogram(0.04 * (i + 1), one.started), run_s: histogram(0.3 * (i + 1), one.completed),
    age_s: histogram(2, one.completed), cpu_s: 12.5, peak_bytes: 0, rates: Object.fromEntries(['10s', '1m', '5m', '15m'].map((name) => [name, {per_second: 2.4 / (i + 1), failed_share: one.failed / Math.max(1, one.started)}]))}));
  const ready = [...world.jobs.values()].filter((job) => job.state === 'ready');
  return {
    at, jobs, storage: {claim: {...histogram(0.002, 400), failed: 0}},
    node: {running: [...world.jobs.values()].filter((job) => job.state === 'running').length, slots: 15, utilization: 0.4, found_dead_nodes: 0, rescued_jobs: 0, rescue_dead_jobs: 0, leases_lost: 0, cpu_s: 91, resident_bytes: 48e6, peak_bytes: 61e6},
    all_nodes: {failed_samples: 0, sampled_at: at, nodes: world.nodes.length, counts: counts(world), oldest_ready: ready.slice(0, 1).map((job) => ({queue: job.queue, kind: job.kind, since: job.run_at, age_s: (now - Date.parse(job.run_at)) / 1000})), longest_runs: [], queues: [], limits: []},
  };
}

const lengths = {s: 1, m: 60, h: 3600, d: 86400};
const parseDuration = (text) => [...String(text).matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * (unit === 'ms' ? 0.001 : lengths[unit]), 0);

function performance(query) {
  const span = parseDuration(query.range || '1h');
  const length = span <= 2 * 86400 ? 60 : span <= 60 * 86400 ? 3600 : 86400;
  const now = Date.now() / 1000;
  const points = [];
  for (let t = Math.floor((now - span) / length) * length; t < now; t += length) {
    const wave = 1 + 0.5 * Math.sin(t / (length * 37)) + 0.2 * Math.sin(t / (length * 5.3));
    const open = t + length > now;
    const part = open ? (now - t) / length : 1;
    const completed = Math.round(2.2 * wave * length * part);
    const failed = Math.round(completed * (0.03 + 0.05 * Math.max(0, Math.sin(t / (length * 11)))));
    points.push({from: iso(t * 1000), length_s: length, open, enqueued: completed, duplicates: 0, refused: 0, started: completed + failed, completed, failed, cancelled: 0, snoozed: 0, released: 0, lost: 0, timed_out: 0, retried: failed, dead: 0, cpu_s: 3,
      wait_s: histogram(0.03 * wave, completed), run_s: histogram(0.4 * wave, completed), age_s: histogram(2 * wave, completed), all_kinds: {covered_s: length, running: 6 * wave, slots: 15, utilization: 0.4 * wave, nodes: {mean: 2, max: 2}},
      depth: {ready: {mean: 40 * wave, max: 90 * wave}, scheduled: {mean: 22, max: 24}, running: {mean: 6 * wave, max: 12}, dead: {mean: 60, max: 61}, oldest_ready_s: 3 * wave}});
  }
  return {points};
}

// Not cron, but times that look like it: of an interval, or every day at nine with a shift of the clocks in between.
function preview(spec, n) {
  const timing = spec.timing || {};
  if (!timing.cron && !timing.every && !timing.at) throw invalid('/timing', 'has none of cron, every and at');
  if (timing.cron && timing.cron.trim().split(/\s+/).length < 5 && !timing.cron.startsWith('@')) throw invalid('/timing/cron', `"${timing.cron}" has too few fields; allowed are 5 to 7`);
  if (timing.zone === 'Mars/Olympus') throw invalid('/timing/zone', 'there is no time zone of that name');
  const step = timing.every ? parseDuration(timing.every) : 86400;
  const first = Math.ceil(Date.now() / 1000 / step) * step + (timing.every ? 0 : 9 * 3600);
  const given = timing.at ? [timing.at].flat().map((text) => Date.parse(text) / 1000) : Array.from({length: n}, (_, i) => first + i * step);
  const description = timing.every ? `every ${timing.every}` : timing.cron ? `at times of "${timing.cron}", in ${timing.zone || 'UTC'}` : `at ${given.length} single times`;
  return {description, times: given.slice(0, n).map((t, i) => ({instant: iso(t * 1000), due: iso(t * 1000 + (timing.jitter ? 7000 : 0)), local: iso(t * 1000 + (i > 4 ? 36e5 : 72e5)).replace('Z', i > 4 ? '+01:00' : '+02:00'), offset: i > 4 ? 3600 : 7200, shifted: i === 5 && !timing.every}))};
}

function scheduleView(one) {
  const {history, ...rest} = one;
  let told = {description: 'can\u2019t be told', times: []};
  try {
    told = preview(one, 1);
  } catch {
    // Its fault says why.
  }
  return {...rest, description: told.description, ...(one.paused || one.fault || !told.times.length ? {} : {next: told.times[0].instant})};
}

function failureGroups(world) {
  const groups = new Map();
  for (const job of world.jobs.values()) {
    if (!job.last_error) continue;
    const key = fingerprint(job);
    if (!groups.has(key)) groups.set(key, {fingerprint: key, kind: job.kind, error: job.last_error.message.replace(/\d+/g, '#'), count: 0, dead: 0, first_seen: job.errors[0].at, last_seen: job.last_error.at, queues: [], examples: [], per_second: {'10s': 0, '1m': 0.2, '5m': 0.05, '15m': 0.02}});
    const group = groups.get(key);
    group.count += job.errors.length;
    if (job.state === 'dead') group.dead += 1;
    if (job.last_error.at > group.last_seen) group.last_seen = job.last_error.at;
    if (!group.queues.includes(job.queue)) group.queues.push(job.queue);
    if (group.examples.length < 5) group.examples.push({job: job.id, attempt: job.attempt, at: job.last_error.at, message: job.last_error.message});
  }
  return [...groups.values()];
}

function bulk(world, {action, filter = {}, ...more}) {
  const job = world.add({kind: 'quern.bulk', queue: 'quern', payload: {action, filter}, max_attempts: 1, held: true});
  const matched = selected(world, filter).filter((one) => one !== job);
  let changed = 0;
  let i = 0;
  world.start(job);
  const turn = () => {
    if (job.cancel_requested) {
      world.cancel(job);
      return;
    }
    for (const end = i + Math.max(1, Math.ceil(matched.length / 5)); i < Math.min(end, matched.length); i += 1) {
      try {
        act(world, matched[i], action, more);
        changed += 1;
      } catch {
        // What can't be changed so is matched and not changed.
      }
    }
    world.progress(job, matched.length ? (i / matched.length) * 100 : 100, `${i} of ${matched.length}`);
    if (i >= matched.length) world.complete(job, {matched: matched.length, changed});
    else setTimeout(turn, 250);
  };
  setTimeout(turn, 250);
  return {status: 202, body: {id: job.id}, headers: {Location: `/api/jobs/${job.id}`}};
}

const timeOf = (body) => {
  if (body.at) return iso(Date.parse(body.at));
  if (body.in && parseDuration(body.in) > 0) return iso(Date.now() + parseDuration(body.in) * 1000);
  throw invalid('/in', 'is no duration; allowed are texts such as 90s or 1h30m');
};

function act(world, job, action, body) {
  if (action === 'cancel') {
    if (ended(job.state)) throw conflict('it has ended');
    if (job.state === 'running') {
      job.cancel_requested = true;
      world.tell('job.cancel_requested', {job: job.id, kind: job.kind, queue: job.queue, attempt: job.attempt});
      return {result: 'requested'};
    }
    world.cancel(job);
    return {result: 'cancelled'};
  }
  if (action === 'retry') {
    if (!ended(job.state)) throw conflict('it has not ended');
    world.retry(job);
    return {};
  }
  if (action === 'delete') {
    if (job.state === 'running') throw conflict('it runs');
    world.jobs.delete(job.id);
    world.tell('job.erased', {job: job.id, kind: job.kind, queue: job.queue, attempt: job.attempt});
    return null;
  }
  if (ended(job.state) || job.state === 'running') throw conflict('it does not wait');
  if (action === 'reschedule') {
    job.run_at = timeOf(body);
    job.state = 'scheduled';
    world.tell('job.rescheduled', {job: job.id, kind: job.kind, queue: job.queue, attempt: job.attempt, runAt: job.run_at});
  } else if (action === 'priority') {
    if (!Number.isInteger(body.priority) || body.priority < 1 || body.priority > 9) throw invalid('/priority', `is ${body.priority}; allowed is 1 to 9`);
    job.priority = body.priority;
  } else {
    throw invalid('/action', 'is not known');
  }
  return {};
}

const ok = (body) => ({status: 200, body});
const done = {status: 204};

function routes(world) {
  const jobOf = (id) => world.jobs.get(id) || (() => { throw notFound(); })();
  const scheduleOf = (name) => world.schedules.get(name) || (() => { throw notFound(); })();
  const workerOf = (id) => world.workers.find((one) => one.id === id) || (() => { throw notFound(); })();
  const page = ({query, me}, filter) => {
    const jobs = selected(world, filter).filter((job) => !me.tenants || me.tenants.includes(job.tenant)).sort((a, b) => (query.order === 'oldest' ? a.id - b.id : b.id - a.id));
    const limit = Number(query.limit || 50);
    const from = query.after ? jobs.findIndex((job) => (query.order === 'oldest' ? Number(job.id) > Number(query.after) : Number(job.id) < Number(query.after))) : 0;
    const some = from < 0 ? [] : jobs.slice(from, from + limit);
    return ok({jobs: some.map(inPage), next: from >= 0 && from + limit < jobs.length ? some.at(-1).id : null});
  };
  const silenced = (one) => [...world.silences.values()].some(({match}) => (!match.rule || match.rule === one.rule) && (!match.queue || match.queue === one.labels.queue) && (!match.kind || match.kind === one.labels.kind));
  const status = (worker, state) => {
    workerOf(worker).state = state;
    world.tell('worker_health_changed', {worker, healthy: true});
    return done;
  };
  const saved = (name, body) => {
    if (!body.kind) throw invalid('/kind', 'is missing');
    preview(body, 1);
    const old = world.schedules.get(name);
    world.schedules.set(name, {paused: false, declared: false, runs: 0, skipped: 0, history: [], queue: 'default', tags: [], lateness_mean_s: 0, lateness_max_s: 0, ...old, ...body, name});
    return {status: old ? 200 : 201, body: scheduleView(world.schedules.get(name))};
  };
  return [
    ['GET', '/api/me', '', ({me}) => ok(me)],
    ['GET', '/api/info', '', () => ok({name: 'quern', api: 1, storage: 'sqlite:jobs.db', now: iso(Date.now())})],
    ['GET', '/api/config', 'config.read', () => ok({workers: {count: 3}, storage: {url: 'sqlite:jobs.db', password: '***'}})],
    ['GET', '/api/jobs', 'jobs.read', (ask) => page(ask, ask.query)],
    ['GET', '/api/dead', 'jobs.read', (ask) => page(ask, {...ask.query, states: ['dead']})],
    ['POST', '/api/dead/redrive', 'jobs.manage', ({body}) => bulk(world, {action: 'retry', filter: {...body.filter, states: ['dead']}})],
    ['POST', '/api/dead/purge', 'jobs.delete', ({body}) => bulk(world, {action: 'delete', filter: {...body.filter, states: ['dead']}})],
    ['POST', '/api/jobs', 'jobs.create', ({body}) => ({status: 201, body: {id: world.add(body).id, status: 'added'}})],
    ['GET', '/api/jobs/counts', 'jobs.read', () => ok({counts: counts(world)})],
    ['GET', '/api/jobs/metrics', 'metrics.read', () => ok(metrics(world))],
    ['GET', '/api/jobs/performance', 'metrics.read', ({query}) => ok(performance(query))],
    ['POST', '/api/jobs/bulk', 'jobs.manage', ({body}) => bulk(world, body)],
    ['GET', '/api/jobs/workers', 'workers.read', () => ok({workers: world.workers.map((one, i) => ({...one, jobs: [...world.jobs.values()].filter((job) => job.state === 'running' && job.id % 3 === i)
      .map((job) => ({id: job.id, kind: job.kind, running_s: (Date.now() - Date.parse(job.started_at)) / 1000, stopping: job.cancel_requested}))})), nodes: world.nodes})],
    ['POST', '/api/jobs/workers/scale', 'workers.manage', () => done],
    ['POST', '/api/jobs/workers/:id/enable', 'workers.manage', ({id}) => status(id, 'active')],
    ['POST', '/api/jobs/workers/:id/disable', 'workers.manage', ({id}) => status(id, 'disabled')],
    ['POST', '/api/jobs/workers/:id/drain', 'workers.manage', ({id}) => status(id, 'draining')],
    ['POST', '/api/jobs/workers/:id/resize', 'workers.manage', ({id, body}) => {
      workerOf(id).max_jobs = body.max_jobs;
      return done;
    }],
    ['GET', '/api/jobs/schedules', 'schedules.read', () => ok({schedules: [...world.schedules.values()].map(scheduleView), next: null})],
    ['POST', '/api/jobs/schedules', 'schedules.manage', ({body}) => {
      if (!body.name) throw invalid('/name', 'is missing');
      if (world.schedules.has(body.name)) throw conflict('there is a schedule of that name');
      return saved(body.name, body);
    }],
    ['POST', '/api/jobs/schedules/preview', 'schedules.read', ({body, query}) => ok(preview(body, Number(query.count || 10)))],
    ['GET', '/api/jobs/schedules/:name', 'schedules.read', ({name}) => ok(scheduleView(scheduleOf(name)))],
    ['PUT', '/api/jobs/schedules/:name', 'schedules.manage', ({name, body}) => saved(name, body)],
    ['DELETE', '/api/jobs/schedules/:name', 'schedules.manage', ({name}) => {
      scheduleOf(name);
      world.schedules.delete(name);
      return done;
    }],
    ['POST', '/api/jobs/schedules/:name/pause', 'schedules.manage', ({name}) => (scheduleOf(name).paused = true) && done],
    ['POST', '/api/jobs/schedules/:name/resume', 'schedules.manage', ({name}) => {
      scheduleOf(name).paused = false;
      return done;
    }],
    ['POST', '/api/jobs/schedules/:name/trigger', 'schedules.trigger', ({name, body}) => {
      const one = scheduleOf(name);
      const job = world.add({kind: one.kind, queue: one.queue, payload: body.payload ?? one.payload, tags: [`schedule:${name}`]});
      one.runs += 1;
      one.last_job = job.id;
      one.history.unshift({instant: iso(Date.now()), last: iso(Date.now()), count: 1, decided: iso(Date.now()), job: job.id, reason: 'none'});
      world.tell('schedule_executed', {schedule: name, job: job.id, message: 'triggered'});
      return {status: 201, body: {id: job.id, status: 'added'}};
    }],
    ['GET', '/api/jobs/schedules/:name/runs', 'schedules.read', ({name}) => ok({runs: scheduleOf(name).history})],
    ['GET', '/api/jobs/:id', 'jobs.read', ({id}) => {
      const {held, ...job} = jobOf(id);
      return ok({...job, why_not_running: why(world, job)});
    }],
    ['DELETE', '/api/jobs/:id', 'jobs.delete', ({id}) => act(world, jobOf(id), 'delete') ?? done],
    ...['cancel', 'retry', 'reschedule', 'priority'].map((action) => ['POST', `/api/jobs/:id/${action}`, 'jobs.manage', ({id, body}) => ok(act(world, jobOf(id), action, body))]),
    ['GET', '/api/queues', 'queues.read', () => {
      const names = [...new Set([...world.jobs.values()].map((job) => job.queue))].sort();
      return ok({queues: names.map((name) => {
        const own = [...world.jobs.values()].filter((job) => job.queue === name);
        const ready = own.filter((job) => job.state === 'ready').map((job) => Date.parse(job.run_at));
        return {name, paused: world.paused.has(name), max_waiting: world.mostWaiting.get(name) || 0, counts: Object.fromEntries(states.map((state) => [state, own.filter((job) => job.state === state).length])),
          ...(ready.length ? {oldest_ready_s: (Date.now() - Math.min(...ready)) / 1000} : {})};
      })});
    }],
    ['POST', '/api/queues/:name/pause', 'queues.manage', ({name}) => world.paused.add(name) && done],
    ['POST', '/api/queues/:name/resume', 'queues.manage', ({name}) => {
      world.paused.delete(name);
      return done;
    }],
    ['PUT', '/api/queues/:name/limit', 'queues.manage', ({name, body}) => world.mostWaiting.set(name, body.max_waiting) && done],
    ['GET', '/api/limits', 'queues.read', () => ok({limits: [...world.limits.values()]})],
    ['PUT', '/api/limits/:name', 'queues.manage', ({name, body}) => world.limits.set(name, {running: 0, queue: '', kind: '', ...body, name}) && done],
    ['DELETE', '/api/limits/:name', 'queues.manage', ({name}) => {
      if (!world.limits.delete(name)) throw notFound();
      return done;
    }],
    ['GET', '/api/failures', 'jobs.read', () => ok({failures: failureGroups(world)})],
    ['POST', '/api/failures/:print/retry', 'jobs.manage', ({print}) => bulk(world, {action: 'retry', filter: {states: ['dead'], failed_like: print}})],
    ['POST', '/api/failures/:print/delete', 'jobs.delete', ({print}) => bulk(world, {action: 'delete', filter: {states: ['dead'], failed_like: print}})],
    ['GET', '/api/alerts', 'alerts.read', () => ok({alerts: world.alerts.map((one) => ({...one, silenced: silenced(one)})), silences: [...world.silences.values()]})],
    ['GET', '/api/alerts/rules', 'alerts.read', () => ok({rules: world.rules})],
    ['POST', '/api/alerts/silences', 'alerts.manage', ({body, me}) => {
      const id = String(world.nextSilence);
      world.nextSilence += 1;
      const seconds = parseDuration(body.for || '');
      if (!seconds && !body.until) throw invalid('/for', 'is no duration; allowed are texts such as 90s or 1h30m');
      const {rule = '', queue = '', kind = ''} = body;
      world.silences.set(id, {id, match: {rule, queue, kind}, begins: iso(Date.now()), until: body.until || iso(Date.now() + seconds * 1000), reason: body.reason || '', who: me.name});
      return {status: 201, body: {id}};
    }],
    ['DELETE', '/api/alerts/silences/:id', 'alerts.manage', ({id}) => {
      if (!world.silences.delete(id)) throw notFound();
      return done;
    }],
    ['GET', '/api/audit', 'audit.read', ({query}) => {
      const rest = world.audit.filter((one) => !query.before || one.number < Number(query.before));
      const some = rest.slice(0, Number(query.limit || 100));
      return ok({entries: some, next: some.length < rest.length ? some.at(-1).number : null});
    }],
    ['GET', '/api/roles', 'keys.manage', () => ok({roles: ['viewer', 'operator', 'admin'].map((name) => ({name, permissions: [], origin: 'built_in'}))})],
    ['GET', '/api/keys', 'keys.manage', () => ok({keys: [...world.keys.values()]})],
    ['POST', '/api/keys', 'keys.manage', ({body}) => {
      if (!body.role === !body.permissions) throw invalid('/role', 'is missing; "permissions" may stand instead');
      const id = `k${world.keys.size + 1}`;
      world.keys.set(id, {permissions: [], tenants: null, queues: null, expires_at: null, ...body, id, created_at: iso(Date.now()), last_used_at: null, revoked: false});
      return {status: 201, body: {id, secret: `qk_${randomBytes(16).toString('hex')}`}};
    }],
    ['POST', '/api/keys/:id/rotate', 'keys.manage', ({id}) => ok({id, secret: `qk_${randomBytes(16).toString('hex')}`})],
    ['DELETE', '/api/keys/:id', 'keys.manage', ({id}) => {
      if (world.keys.get(id).revoked) world.keys.delete(id);
      else world.keys.get(id).revoked = true;
      return done;
    }],
  ].map(([method, pattern, permission, handler]) => ({method, parts: pattern.split('/'), permission, handler}));
}

function find(table, method, path) {
  const parts = path.split('/');
  // What is fixed goes before what is variable.
  const fits = table.filter((one) => one.parts.length === parts.length && one.parts.every((part, i) => part.startsWith(':') || part === decodeURIComponent(parts[i])));
  fits.sort((a, b) => a.parts.filter((part) => part.startsWith(':')).length - b.parts.filter((part) => part.startsWith(':')).length);
  if (!fits.length) throw notFound();
  const found = fits.find((one) => one.method === method);
  if (!found) throw new Problem(405, 'method-not-allowed', 'this is not done here');
  return {...found, values: Object.fromEntries(found.parts.map((part, i) => [part, parts[i]]).filter(([part]) => part.startsWith(':')).map(([part, value]) => [part.slice(1), decodeURIComponent(value)]))};
}

function serveEvents(world, request, response, query) {
  const wanted = (query.types || 'job,alert,worker,system').split(',');
  const wants = (type) => wanted.some((one) => (one === 'system' ? /^(service|kind|config|schedule)_/.test(type) : type.startsWith(one)));
  response.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store'});
  const write = (event) => wants(event.type) && response.write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event.data)}\n\n`);
  const last = Number(request.headers['last-event-id'] || 0);
  if (last) world.events.filter((event) => event.id > last).forEach(write);
  response.write(': hello\n\n');
  world.listeners.add(write);
  const beat = setInterval(() => response.write(':\n\n'), 15000);
  response.on('close', () => {
    clearInterval(beat);
    world.listeners.delete(write);
  });
}

function serveFile(path, request, response) {
  const name = path === '/' ? 'index.html' : path.slice(1);
  if (!readdirSync(files).includes(name)) throw notFound();
  const body = readFileSync(join(files, name));
  const tag = `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`;
  const headers = {ETag: tag, 'Cache-Control': 'no-cache', 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer'};
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304, headers).end();
    return;
  }
  response.writeHead(200, {...headers, 'Content-Type': types[extname(name)]}).end(request.method === 'HEAD' ? undefined : body);
}

// serve({world, open, port, change}) -> {url, close}; `change` makes other answers of the usual ones.
export async function serve({world, open = false, port = 0, change = (body) => body}) {
  const table = routes(world);
  const sockets = new Set();
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    try {
      if (!url.pathname.startsWith('/api/')) {
        serveFile(url.pathname, request, response);
        return;
      }
      const key = (request.headers.authorization || '').replace(/^Bearer /, '');
      const me = world.users.get(key) || (open ? {name: 'open', via: 'open', permissions: all, tenants: null, queues: null} : null);
      if (!me) throw new Problem(401, 'unauthorized', 'a key is needed');
      const query = Object.fromEntries(url.searchParams);
      // Numbers of all are not for those who see only some.
      if ((me.tenants && /^\/api\/(jobs\/(counts|metrics|performance|workers)|queues|limits|failures|alerts|audit)/.test(url.pathname)) || (me.queues && /^\/api\/(jobs\/(metrics|performance|workers)|limits|alerts|audit)/.test(url.pathname)))
        throw new Problem(403, 'forbidden', 'this concerns all tenants and queues, and you may see only some');
      const allow = (permission) => {
        if (permission && !me.permissions.includes(permission)) throw new Problem(403, 'forbidden', `this needs the permission ${permission}`);
      };
      if (url.pathname === '/api/events') {
        allow('events.read');
        serveEvents(world, request, response, query);
        return;
      }
      const route = find(table, request.method, url.pathname);
      allow(route.permission);
      let text = '';
      for await (const piece of request) text += piece;
      if (text && request.headers['content-type'] !== 'application/json') throw new Problem(415, 'unsupported-media-type', 'a body is application/json');
      const body = text ? JSON.parse(text) : {};
      const answer = route.handler({...route.values, query, body, me});
      if (request.method !== 'GET') {
        world.requests.push({method: request.method, path: url.pathname, body});
        world.note(me.name, `${request.method} ${url.pathname}`, Object.values(route.values).join(' '));
      }
      response.writeHead(answer.status || 200, {'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...answer.headers});
      response.end(answer.status === 204 ? undefined : JSON.stringify(change(answer.body ?? {})));
    } catch (error) {
      const status = error.status || 500;
      if (!error.status) console.error(error);
      response.writeHead(status, {'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store'});
      response.end(JSON.stringify({type: `urn:quern:problem:${error.status ? error.name : 'internal'}`, title: error.message, status, detail: error.message, ...(error.errors ? {errors: error.errors} : {})}));
    }
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    port: server.address().port,
    close: () => new Promise((resolve) => {
      server.close(resolve);
      sockets.forEach((socket) => socket.destroy());
    }),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--port');
  const {url} = await serve({world: makeWorld(), open: process.argv.includes('--open'), port: at < 0 ? 8090 : Number(process.argv[at + 1])});
  console.log(`The dashboard is at ${url}`);
}
