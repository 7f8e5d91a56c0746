// One job: what became of it so far, what it carries, why it does not run, and what can be done about it.

import {at, get} from './api.js';
import {h} from './dom.js';
import {absolute, plural, seconds, words} from './format.js';
import {deeds, perform} from './jobs.js';
import {go, link} from './router.js';
import {may} from './session.js';
import {ask, attempt, badge, button, copy, ended, facts, json, jobLink, panel, progress, since, table, time} from './ui.js';

export const job = {
  title: (page) => `Job ${page.parts[1]}`,
  types: ['job'],
  every: 10,
  async load(page) {
    page.data.job = await get(at`jobs/${page.parts[1]}`, {}, page.signal);
  },
  event(page, event) {
    if (event.type === 'gap') {
      page.soon();
      return;
    }
    try {
      const {job: id} = JSON.parse(event.data);
      if (id === page.parts[1] || page.data.job?.parents?.includes(id)) page.soon();
    } catch {
      page.soon();
    }
  },
  draw(page) {
    const one = page.data.job;
    return [
      h('div.head',
        h('div', h('h1', `Job ${one.id} `, badge(one.state), one.cancel_requested && !ended(one.state) ? badge('cancel requested', 'scheduled') : null),
          h('p.sub', h('a', {href: link(['jobs'], {kind: one.kind})}, one.kind), ' in the queue ', h('a', {href: link(['jobs'], {queue: one.queue})}, one.queue))),
        h('div.actions', Object.entries(deeds).filter(([, deed]) => may(deed.needs) && deed.of(one.state)).map(([name, deed]) =>
          button(deed.name, () => act(page, name, deed), {tone: deed.tone || '', key: name})))),
      one.state === 'running' && one.progress ? h('div.live', progress(one.progress.percent, 'Progress of the job'), h('span', one.progress.message)) : null,
      why(one),
      h('div.columns',
        h('div', timeline(one), errors(one), log(one)),
        h('div', about(one), parents(one), data('Payload', one.payload), one.result !== undefined && one.result !== null ? data('Result', one.result) : null)),
    ];
  },
};

async function act(page, name, deed) {
  const {job: one} = page.data;
  const run = async (form) => {
    await perform(name, one.id, deed.body?.(form || {}));
  };
  const fields = deed.fields?.(one) || [];
  if (fields.length || name === 'delete' || name === 'cancel') {
    const asked = await ask({title: `${deed.name} job ${one.id}`, text: deed.text, fields, yes: name === 'cancel' ? 'Cancel the job' : deed.name, tone: deed.tone, act: run});
    if (!asked) return;
  } else if (!await attempt(run, `Job ${one.id}: ${deed.name.toLowerCase()} done`)) {
    return;
  }
  if (name === 'delete') go(['jobs']);
}

function why(one) {
  const because = one.why_not_running;
  if (!because || one.state === 'running' || because.reason === 'ended') return null;
  return h('div.why', {role: 'note'}, h('strong', 'Why it is not running: '), because.text || because.reason,
    because.until ? [' It can start ', time(because.until), '.'] : null,
    because.limit ? [' ', h('a', {href: link(['queues'])}, `Limit ${because.limit}`)] : null);
}

// A person, a program, or "job:17".
const author = (name) => (/^job:\d+$/.test(name) ? jobLink(name.slice(4), `job ${name.slice(4)}`) : name);

// The moments of a job that are known, oldest first.
function moments(one) {
  const all = [{at: one.created_at, tone: 'none', title: 'Added', text: one.created_by ? ['by ', author(one.created_by)] : ''}];
  const last = one.errors || (one.last_error ? [one.last_error] : []);
  const dropped = (last[0]?.attempt || 1) - 1;
  if (last.length && dropped > 0) all.push({at: null, tone: 'none', title: `${plural(dropped, 'earlier attempt')}`, text: 'Their errors are not kept any more.'});
  last.forEach((error) => all.push({at: error.at, tone: 'dead', title: `Attempt ${error.attempt} failed${error.fault && error.fault !== 'error' ? ` (${words(error.fault)})` : ''}`, text: error.message}));
  if (one.started_at && (one.state === 'running' || ended(one.state)) && !last.some((error) => error.attempt === one.attempt && one.state !== 'running'))
    all.push({at: one.started_at, tone: 'running', title: `Attempt ${one.attempt} began`, text: one.node ? `on node ${one.node}` : ''});
  if (one.state === 'running') all.push({now: true, at: one.started_at, tone: 'running', title: 'Running', text: ['for ', since(one.started_at)]});
  else if (ended(one.state)) {
    all.push({now: true, at: one.finished_at, tone: one.state, title: one.state[0].toUpperCase() + one.state.slice(1),
      text: [one.dead_reason && one.dead_reason !== 'none' ? words(one.dead_reason) : '', one.end_message].filter(Boolean).join(': ')});
  } else {
    const title = {blocked: 'Waits for its parents', scheduled: last.length ? 'Waits for its next attempt' : 'Waits for its time', ready: 'Ready to run'}[one.state] || one.state;
    all.push({now: true, at: one.state === 'scheduled' ? one.run_at : null, tone: one.state, title, text: ''});
  }
  return all;
}

function timeline(one) {
  const all = moments(one);
  // How long after the moment before: what one looks for in a timeline.
  const later = (i) => {
    const s = i && all[i].at && all[i - 1].at ? (Date.parse(all[i].at) - Date.parse(all[i - 1].at)) / 1000 : 0;
    return s > 0 ? h('span.dim', `+${seconds(s)}`) : null;
  };
  return panel('Timeline', h('ol.timeline', all.map((moment, i) => h('li', {class: `t-${moment.tone}`, 'aria-current': moment.now ? 'step' : null},
    h('div.what', h('strong', moment.title), later(i), moment.at ? time(moment.at) : null), moment.text ? h('div.text.clamp', moment.text) : null))));
}

function errors(one) {
  const all = one.errors || [];
  if (!all.length) return null;
  return panel(plural(all.length, 'error'), [...all].reverse().map((error, i) => h('details.error', {open: i === 0, 'data-key': `e${error.attempt}${error.at}`},
    h('summary', `Attempt ${error.attempt}`, error.fault ? badge(words(error.fault), 'dead') : null, time(error.at)), h('pre.code', {tabindex: 0}, error.message))));
}

const exact = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3});
const clock = (text) => h('time', {datetime: text, title: absolute(text)}, exact.format(new Date(text)));

function log(one) {
  const lines = one.log?.lines || [];
  if (!lines.length) return null;
  const fields = (line) => Object.entries(line.fields || {}).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' ');
  return panel('Log', one.log.dropped ? h('p.dim', `${plural(one.log.dropped, 'line')} more did not fit.`) : null,
    h('ol.log', {tabindex: 0, 'aria-label': 'Log lines'}, lines.map((line) => h('li', {class: `l-${/^[a-z]+$/.test(line.level) ? line.level : 'info'}`},
      clock(line.at), h('span.level', line.level), h('span', line.message, line.fields ? h('span.dim', ' ', fields(line)) : null)))));
}

function about(one) {
  return panel('About', facts([
    ['Attempt', `${one.attempt}${one.max_attempts ? ` of ${one.max_attempts}` : ''}${one.run > 1 ? `, run ${one.run}` : ''}`],
    ['Priority', String(one.priority)],
    ['Due', one.run_at ? time(one.run_at) : ''],
    ['Deadline', one.deadline ? time(one.deadline) : ''],
    ['Timeout', one.timeout],
    ['Tenant', one.tenant ? h('a', {href: link(['jobs'], {tenant: one.tenant})}, one.tenant) : ''],
    ['Tags', one.tags?.length ? h('span.tags', one.tags.map((tag) => h('a.tag', {href: link(['jobs'], {tag})}, tag))) : ''],
    ['Unique key', one.unique_key],
    ['Node', one.node],
    ['Snoozes', one.snoozes ? String(one.snoozes) : ''],
    ['Crashes', one.crashes ? h('span.bad', String(one.crashes)) : ''],
    ['Trace', one.trace ? h('code.break', one.trace) : ''],
  ]));
}

function parents(one) {
  if (!one.parents?.length) return null;
  const open = new Set(one.why_not_running?.parents || []);
  return panel(plural(one.parents.length, 'parent'), one.on_parent_failure ? h('p.dim', `Where one fails: ${words(one.on_parent_failure)}.`) : null,
    table({caption: 'Parents', also: [...open], rows: one.parents.slice(0, 200).map((id) => ({id})), key: (row) => row.id, columns: [
      ['Job', '', (row) => jobLink(row.id)],
      ['Waits', '', (row) => (open.has(row.id) ? badge('waited for', 'blocked') : h('span.dim', 'no more waited for'))],
    ]}));
}

const data = (name, value) => h('section.panel', {'aria-label': name}, h('div.head', h('h2', name), copy(() => JSON.stringify(value, null, 2), name)), json(value));
