// Schedules: all of them, and one with its next times and what became of the last ones.

import {at, del, get, post} from './api.js';
import {h} from './dom.js';
import {count, plural, seconds, words} from './format.js';
import {go, link} from './router.js';
import {may} from './session.js';
import {ask, attempt, badge, button, empty, facts, field, head, jobLink, json, panel, table, time} from './ui.js';

const reasons = {
  missed: 'passed while nobody looked', busy: 'the last job had not ended', conflict: 'another job of its queue waited or ran',
  ended: 'all runs that there may be have been', paused: 'the schedule was paused', clock_set_back: 'the clock had been ahead',
};

const state = (one) => (one.fault ? badge('faulty', 'dead') : one.paused ? badge('paused', 'scheduled') : one.next ? badge('on', 'completed') : badge('over', 'cancelled'));

async function trigger(one) {
  let made = null;
  await ask({
    title: `Run ${one.name} now`, yes: 'Run now', text: 'Its job is added at once, beside its usual times.',
    fields: [field('Payload', {name: 'payload', value: ''}, {area: 4, hint: 'JSON in the place of its own payload. Empty: its own.'})],
    act: async ({payload}) => {
      const body = {};
      if (payload) body.payload = parseJson(payload);
      made = await post(at`jobs/schedules/${one.name}/trigger`, body);
    },
  });
  if (made) go(['jobs', made.id]);
}

export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The payload is not JSON: ${error.message}`, {cause: error});
  }
}

const pause = (one) => attempt(() => post(one.paused ? at`jobs/schedules/${one.name}/resume` : at`jobs/schedules/${one.name}/pause`), `${one.name} ${one.paused ? 'goes on' : 'is paused'}`);

function actions(page, one, tone) {
  return [
    may('schedules.trigger') ? button('Run now', () => trigger(one), {tone, label: `Run ${one.name} now`}) : null,
    may('schedules.manage') ? [
      button(one.paused ? 'Resume' : 'Pause', () => pause(one), {tone, label: `${one.paused ? 'Resume' : 'Pause'} ${one.name}`}),
      h('a', {class: `button ${tone}`, href: link(['schedules', one.name, 'edit']), 'aria-label': `Edit ${one.name}`}, 'Edit'),
      button('Delete', async () => {
        if (await ask({title: `Delete the schedule ${one.name}`, text: one.declared ? 'Your program declares it, so it comes back with its next start.' : 'Its jobs stay.', yes: 'Delete', tone: 'danger', act: () => del(at`jobs/schedules/${one.name}`)})) {
          if (page.parts.length > 1) go(['schedules']);
        }
      }, {tone, label: `Delete ${one.name}`})] : null,
  ];
}

export const schedules = {
  title: 'Schedules',
  types: ['system'],
  every: 10,
  async load(page) {
    page.data = await get('jobs/schedules', {limit: 100, after: page.query.after}, page.signal);
  },
  draw: (page) => [
    head('Schedules', may('schedules.manage') ? h('a.button.primary', {href: '#/new-schedule'}, 'New schedule') : null),
    page.data.schedules.length ? table({
      caption: 'Schedules', rows: page.data.schedules, key: (one) => one.name, rowClass: (one) => (one.paused ? 'paused' : null),
      columns: [
        ['Schedule', 'name', (one) => h('a', {href: link(['schedules', one.name])}, one.name)],
        ['When', 'wide', (one) => one.description],
        ['State', '', state],
        ['Next', 'nowrap', (one) => time(one.next)],
        ['Kind', 'name', (one) => one.kind],
        ['Runs', 'num', (one) => count(one.runs)],
        ['Left out', 'num', (one) => h('span', {class: one.skipped ? '' : 'dim'}, count(one.skipped))],
        ['Last job', '', (one) => (one.last_job ? jobLink(one.last_job) : '')],
        may('schedules.manage') || may('schedules.trigger') ? ['Actions', 'do', (one) => actions(page, one, 'small')] : null,
      ],
    }) : empty('No schedules', 'A schedule adds a job again and again: by a cron expression, at an interval or at single instants.',
      may('schedules.manage') ? h('a.button', {href: '#/new-schedule'}, 'Create one') : null),
    h('nav.pager', {'aria-label': 'Pages'}, page.query.after ? h('a.button', {href: link(['schedules'])}, 'First page') : null,
      page.data.next ? h('a.button', {href: link(['schedules'], {after: page.data.next})}, 'Next page') : null),
  ],
};

// What only answers have is no part of what a schedule is made of.
const answered = ['paused', 'declared', 'description', 'next', 'runs', 'skipped', 'last_job', 'lateness_mean_s', 'lateness_max_s', 'fault'];
export const specOf = (one) => Object.fromEntries(Object.entries(one).filter(([name]) => !answered.includes(name)));

export const schedule = {
  title: (page) => `Schedule ${page.parts[1]}`,
  types: ['system'],
  every: 10,
  async load(page) {
    const name = page.parts[1];
    const one = await get(at`jobs/schedules/${name}`, {}, page.signal);
    const [runs, preview] = await Promise.all([
      get(at`jobs/schedules/${name}/runs`, {}, page.signal),
      post('jobs/schedules/preview?count=10', specOf(one)).catch(() => null),
    ]);
    page.data = {one, runs: runs.runs, preview};
  },
  draw(page) {
    const {one, runs, preview} = page.data;
    return [
      h('div.head', h('div', h('h1', one.name, ' ', state(one)), h('p.sub', one.description)), h('div.actions', actions(page, one, ''))),
      one.fault ? h('div.why.bad', {role: 'note'}, h('strong', 'It can\u2019t run: '), one.fault) : null,
      h('div.columns',
        h('div', panel('Next times', one.paused ? h('p.dim', 'It is paused: these would be its times.') : null, times(preview)), panel('History', history(runs))),
        h('div', panel('About', facts([
          ['Kind', h('a', {href: link(['jobs'], {kind: one.kind})}, one.kind)],
          ['Queue', one.queue],
          ['Jobs', h('a', {href: link(['jobs'], {tag: `schedule:${one.name}`})}, plural(one.runs, 'job'))],
          ['Left out', one.skipped ? count(one.skipped) : ''],
          ['Zone', one.timing?.zone],
          ['Missed', one.missed],
          ['When busy', words(one.when_busy)],
          ['Late', one.runs ? `${seconds(one.lateness_mean_s)} on average, ${seconds(one.lateness_max_s)} at most` : ''],
          ['Declared', one.declared ? 'by the program' : 'no, made by hand'],
        ])), panel('As it is written', json(specOf(one))))),
    ];
  },
};

// Local times, with their offset, and a mark where the clocks have shifted since the one before.
export function times(preview) {
  if (!preview) return h('p.dim', 'No times can be told.');
  if (!preview.times.length) return h('p.dim', 'It never happens again.');
  return h('ol.times', preview.times.map((one) => h('li',
    h('span.mono', one.local.slice(0, 19).replace('T', ' ')), h('span.dim.mono', one.local.slice(19)), time(one.instant),
    one.shifted ? badge('clocks shift', 'ready') : null, one.due !== one.instant ? h('span.dim', `due ${seconds((Date.parse(one.due) - Date.parse(one.instant)) / 1000)} later`) : null)));
}

function history(runs) {
  if (!runs.length) return h('p.dim', 'Nothing has been decided yet.');
  return table({
    caption: 'History', rows: runs, key: (one) => `${one.instant}${one.decided}${one.job}`,
    columns: [
      ['Instant', 'nowrap', (one) => [time(one.instant), one.count > 1 ? h('small.dim', ` to ${one.last}`) : null]],
      ['What became of it', 'wide', (one) => (one.job ? ['job ', jobLink(one.job)]
        : [badge(one.count > 1 ? `${count(one.count)} left out` : 'left out', 'scheduled'), ' ', reasons[one.reason] || one.reason])],
      ['Decided', 'nowrap', (one) => time(one.decided)],
    ],
  });
}
