// Queues, and the rules that limit how much runs at once.

import {at, del, get, post, put} from './api.js';
import {h} from './dom.js';
import {compact, count, seconds} from './format.js';
import {link} from './router.js';
import {may, seesAll} from './session.js';
import {ask, attempt, badge, bar, button, empty, field, head, small, table} from './ui.js';

export const queues = {
  title: 'Queues',
  types: ['job'],
  every: 5,
  async load(page) {
    const [all, rules] = await Promise.all([get('queues', {}, page.signal), seesAll() ? get('limits', {}, page.signal) : null]);
    page.data = {queues: all.queues, limits: rules?.limits};
  },
  draw: (page) => [
    head('Queues'),
    page.data.queues.length ? list(page) : empty('No queues yet', 'A queue begins to exist with its first job.'),
    page.data.limits ? [h('div.head', h('h2', 'Limits'), may('queues.manage') ? button('Add a limit', () => editLimit(page)) : null),
    page.data.limits.length ? limits(page) : empty('No limits', 'A limit says how many jobs of a queue or kind may run at once, or start in a time, over all nodes.')] : null,
  ],
};

function list(page) {
  const most = Math.max(1, ...page.data.queues.map((one) => one.counts.ready || 0));
  const number = (name) => ([name[0].toUpperCase() + name.slice(1), 'num', (one) => h('a', {class: one.counts[name] ? '' : 'dim', href: link(name === 'dead' ? ['dead'] : ['jobs'], {state: name === 'dead' ? '' : name, queue: one.name}), title: count(one.counts[name] || 0)}, compact(one.counts[name] || 0))]);
  const toggle = (one) => attempt(() => post(one.paused ? at`queues/${one.name}/resume` : at`queues/${one.name}/pause`), `${one.name} ${one.paused ? 'goes on' : 'is paused'}`);
  return table({
    caption: 'Queues', also: most, rows: page.data.queues, key: (one) => one.name, rowClass: (one) => (one.paused ? 'paused' : null),
    columns: [
      ['Queue', 'name', (one) => h('a', {href: link(['jobs'], {queue: one.name})}, one.name)],
      ['State', '', (one) => (one.paused ? badge('paused', 'scheduled') : badge('open', 'completed'))],
      ['Backlog', 'wide', (one) => bar((one.counts.ready || 0) / (one.max_waiting || most), one.max_waiting ? `${count(one.counts.ready || 0)} of at most ${count(one.max_waiting)} wait` : `${count(one.counts.ready || 0)} ready`)],
      number('ready'), number('running'), number('scheduled'), number('blocked'), number('dead'),
      ['Oldest ready', 'num', (one) => (one.counts.ready ? seconds(one.oldest_ready_s) : '')],
      ['Most waiting', 'num', (one) => (one.max_waiting ? count(one.max_waiting) : h('span.dim', 'any'))],
      may('queues.manage') ? ['Actions', 'do', (one) => [
        small(one.paused ? 'Resume' : 'Pause', `${one.paused ? 'Resume' : 'Pause'} ${one.name}`, () => toggle(one)),
        small('Limit', `Limit ${one.name}`, () => ask({
          title: `How many may wait in ${one.name}`, yes: 'Set', text: 'Beyond that new jobs are refused.',
          fields: [field('Most waiting', {name: 'most', type: 'number', min: 0, required: true, value: one.max_waiting || 0}, {hint: '0: any number.'})],
          act: ({most: n}) => put(at`queues/${one.name}/limit`, {max_waiting: Number(n)}),
        }))]] : null,
    ],
  });
}

const rateText = (one) => (one.rate?.count ? `${count(one.rate.count)} per ${one.rate.per}${one.rate.burst ? `, burst ${count(one.rate.burst)}` : ''}` : '');

function limits(page) {
  return table({
    caption: 'Limits', rows: page.data.limits, key: (one) => one.name,
    columns: [
      ['Limit', 'name', (one) => one.name],
      ['Of', 'name', (one) => [one.queue ? `queue ${one.queue}` : '', one.kind ? `kind ${one.kind}` : ''].filter(Boolean).join(', ') || 'all jobs'],
      ['Running', 'nowrap', (one) => (one.max_running ? [bar((one.running || 0) / one.max_running, `${one.running || 0} of ${one.max_running} run`), h('span.num', `${count(one.running || 0)} / ${count(one.max_running)}`)] : count(one.running || 0))],
      ['Rate', '', rateText],
      ['Starts left', 'num', (one) => (one.rate?.count ? count(one.starts) : '')],
      ['Next start', 'num', (one) => (one.wait_s > 0 ? `in ${seconds(one.wait_s)}` : one.rate?.count ? 'now' : '')],
      may('queues.manage') ? ['Actions', 'do', (one) => [
        small('Edit', `Edit ${one.name}`, () => editLimit(page, one)),
        small('Delete', `Delete ${one.name}`, () => ask({title: `Delete the limit ${one.name}`, text: 'From then on nothing is held back by it.', yes: 'Delete', tone: 'danger', act: () => del(at`limits/${one.name}`)}))]] : null,
    ],
  });
}

async function editLimit(page, one = {}) {
  const known = (name) => page.data.queues.map((queue) => queue[name]).filter(Boolean);
  await ask({
    title: one.name ? `Limit ${one.name}` : 'New limit', yes: 'Save', wide: true,
    fields: h('div.grid',
      one.name ? null : field('Name', {name: 'name', required: true, maxlength: 100}),
      field('Queue', {name: 'queue', value: one.queue}, {list: known('name'), hint: 'Empty: all.'}),
      field('Kind', {name: 'kind', value: one.kind}, {hint: 'Empty: all.'}),
      field('Most running at once', {name: 'max', type: 'number', min: 0, value: one.max_running || ''}, {hint: 'Empty: any number.'}),
      field('Starts', {name: 'count', type: 'number', min: 0, value: one.rate?.count || ''}, {hint: 'So many may start ...'}),
      field('per', {name: 'per', value: one.rate?.per || '', placeholder: '1m'}, {hint: '... in this time.'}),
      field('Algorithm', {name: 'algorithm', value: one.rate?.algorithm || ''}, {list: [one.rate?.algorithm || 'token_bucket'], hint: 'Empty: the usual one.'}),
      field('Burst', {name: 'burst', type: 'number', min: 0, value: one.rate?.burst || ''})),
    act: (form) => {
      const body = {};
      if (form.queue) body.queue = form.queue;
      if (form.kind) body.kind = form.kind;
      if (form.max) body.max_running = Number(form.max);
      if (form.count) {
        body.rate = {count: Number(form.count), per: form.per || '1s'};
        if (form.algorithm) body.rate.algorithm = form.algorithm;
        if (form.burst) body.rate.burst = Number(form.burst);
      }
      return put(at`limits/${one.name || form.name}`, body);
    },
  });
}
