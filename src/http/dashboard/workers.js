// Workers of this process with what they run, and the nodes of all processes.

import {at, get, post} from './api.js';
import {h} from './dom.js';
import {count, plural, seconds} from './format.js';
import {link} from './router.js';
import {may} from './session.js';
import {ask, attempt, badge, bar, button, empty, field, head, jobLink, panel, small, table, time} from './ui.js';

const tones = {active: 'completed', disabled: 'cancelled', draining: 'scheduled', leaving: 'scheduled', alive: 'completed', dead: 'dead'};

export const workers = {
  title: 'Workers',
  types: ['worker', 'job'],
  every: 3,
  async load(page) {
    page.data = await get('jobs/workers', {}, page.signal);
  },
  draw(page) {
    const {workers: all, nodes} = page.data;
    return [
      head('Workers', may('workers.manage') && all.length ? button('Scale', () => scale(page)) : null),
      all.length ? list(page, all) : empty('This process runs no jobs', 'It only adds and shows them. The nodes below are the processes that run jobs.'),
      running(all),
      h('h2', 'Nodes'),
      nodes.length ? nodeTable(nodes) : empty('No node is alive', 'Nobody runs jobs now. Start a process with workers.'),
    ];
  },
};

function list(page, all) {
  const act = (one, what, done) => small(what[0].toUpperCase() + what.slice(1), `${what} ${one.id}`, () => attempt(() => post(at`jobs/workers/${one.id}/${what}`), `${one.id} ${done}`));
  return table({
    caption: 'Workers', rows: all, key: (one) => one.id,
    columns: [
      ['Worker', 'name', (one) => one.id],
      ['State', '', (one) => [badge(one.state, tones[one.state]), one.healthy ? null : [' ', badge('unhealthy', 'dead'), h('small.bad', ' ', one.reason)]]],
      ['Load', 'nowrap', (one) => [bar(one.jobs.length / (one.max_jobs || 1), `${one.jobs.length} of ${one.max_jobs} run`), h('span.num', `${one.jobs.length} / ${one.max_jobs}`)]],
      ['Kinds', 'name', (one) => (one.supported_kinds.length ? h('span.clip', {title: one.supported_kinds.join(', ')}, one.supported_kinds.join(', ')) : h('span.dim', 'all'))],
      ['Life shown', 'num', (one) => `${seconds(one.heartbeat_s)} ago`],
      ['Completed', 'num', (one) => count(one.completed)],
      ['Failed', 'num', (one) => h('span', {class: one.failures_in_row > 2 ? 'bad' : ''}, count(one.failed), one.failures_in_row ? ` (${one.failures_in_row} in a row)` : '')],
      ['Busy', 'num', (one) => seconds(one.busy_s)],
      may('workers.manage') ? ['Actions', 'do', (one) => [
        one.state === 'active' ? act(one, 'disable', 'takes no more jobs') : act(one, 'enable', 'takes jobs'),
        one.state === 'active' || one.state === 'disabled' ? act(one, 'drain', 'drains') : null,
        small('Resize', `Resize ${one.id}`, () => ask({
          title: `How many jobs ${one.id} runs at once`, yes: 'Set',
          fields: [field('Jobs at once', {name: 'most', type: 'number', min: 1, required: true, value: one.max_jobs})],
          act: ({most}) => post(at`jobs/workers/${one.id}/resize`, {max_jobs: Number(most)}),
        }))]] : null,
    ],
  });
}

const scale = (page) => ask({
  title: 'How many workers there are', yes: 'Scale', text: 'The pool keeps between so many, as there is work.',
  fields: h('div.grid', field('At least', {name: 'min', type: 'number', min: 0, required: true, value: 1}), field('At most', {name: 'max', type: 'number', min: 1, required: true, value: Math.max(1, page.data.workers.length)})),
  act: ({min, max}) => post('jobs/workers/scale', {min_workers: Number(min), max_workers: Number(max)}),
});

function running(all) {
  const jobs = all.flatMap((worker) => worker.jobs.map((one) => ({...one, worker: worker.id}))).sort((a, b) => b.running_s - a.running_s);
  if (!jobs.length) return null;
  return panel(`Running here: ${plural(jobs.length, 'job')}`, table({
    caption: 'Running jobs', rows: jobs, key: (one) => one.id,
    columns: [
      ['Job', '', (one) => jobLink(one.id)],
      ['Kind', 'name', (one) => h('a', {href: link(['jobs'], {kind: one.kind, state: 'running'})}, one.kind)],
      ['Worker', 'name', (one) => one.worker],
      ['For', 'num', (one) => seconds(one.running_s)],
      ['State', '', (one) => (one.stopping ? badge('stopping', 'scheduled') : badge('running'))],
    ],
  }));
}

function nodeTable(nodes) {
  const kinds = (one) => one.kinds.map((kind) => `${kind.name} (${kind.slots})`).join(', ');
  return table({
    caption: 'Nodes', rows: nodes, key: (one) => one.id,
    columns: [
      ['Node', '', (one) => h('span.mono', one.id)],
      ['Name', 'name', (one) => one.name || ''],
      ['State', '', (one) => badge(one.state, tones[one.state])],
      ['Host', 'name', (one) => one.host || ''],
      ['Load', 'nowrap', (one) => [bar(one.running / (one.slots || 1), `${one.running} of ${one.slots} run`), h('span.num', `${one.running} / ${one.slots}`)]],
      ['Process', 'num', (one) => String(one.process ?? '')],
      ['Started', 'nowrap', (one) => time(one.started_at)],
      ['Lease left', 'num', (one) => seconds(one.lease_left_s)],
      ['Queues', 'name', (one) => (one.queues ? one.queues.map((queue) => queue.name).join(', ') : h('span.dim', 'all'))],
      ['Kinds', 'wide', (one) => h('span.clip', {title: kinds(one)}, kinds(one))],
    ],
  });
}
