// How all is going: figures of now, charts of a range, counts by state, what fails and what is alerting.

import {get} from './api.js';
import {chart} from './chart.js';
import {h} from './dom.js';
import {compact, count, now, percent, rate, seconds} from './format.js';
import {go, link} from './router.js';
import {may} from './session.js';
import {badge, empty, head, panel, states, table} from './ui.js';

const ranges = [['5m', '5 min', 300], ['15m', '15 min', 900], ['1h', '1 h', 3600], ['6h', '6 h', 21600], ['24h', '24 h', 86400],
  ['7d', '7 d', 604800], ['30d', '30 d', 2592000], ['90d', '90 d', 7776000]];
const rangeOf = (page) => ranges.find(([name]) => name === page.query.range) || ranges[0];

// What this page has seen of the counters, for a throughput that is newer than the last whole minute.
const live = [];

function remember(metrics, filter) {
  const jobs = metrics.jobs.filter(filter);
  const sum = (name) => jobs.reduce((all, one) => all + one[name], 0);
  const sample = {t: Date.parse(metrics.at), completed: sum('completed'), failed: sum('failed')};
  const last = live.at(-1);
  // A process that began anew counts from zero.
  if (last && (sample.completed < last.completed || sample.t < last.t)) live.length = 0;
  if (!last || sample.t > last.t) live.push(sample);
  while (live.length && live[0].t < sample.t - 320000) live.shift();
}

// Over the last ten seconds each: single samples are too few runs.
function liveRates() {
  return live.slice(1).map((one, i) => {
    const old = live[Math.max(0, i - 4)];
    const s = (one.t - old.t) / 1000;
    return {t: one.t, completed: (one.completed - old.completed) / s, failed: (one.failed - old.failed) / s};
  });
}

export const overview = {
  title: 'Overview',
  types: ['alert', 'worker'],
  every: 2,
  enter() {
    live.length = 0;
  },
  changed() {
    live.length = 0;
  },
  async load(page) {
    const {signal, query: {queue, kind}} = page;
    const [range] = rangeOf(page);
    const key = [range, queue, kind].join('\n');
    // Points come by the minute at most, so asking for them every two seconds would tell nothing new.
    const stale = page.data.key !== key || Date.now() - page.data.pointsAt > (range === '5m' ? 10000 : 30000);
    const [metrics, points, counted, alerts, workers] = await Promise.all([
      get('jobs/metrics', {}, signal),
      stale ? get('jobs/performance', {range: range === '5m' ? '7m' : range, queue, kind}, signal).then((all) => all.points) : page.data.points,
      may('jobs.read') ? get('jobs/counts', {}, signal) : null,
      may('alerts.read') ? get('alerts', {}, signal) : null,
      may('workers.read') ? get('jobs/workers', {}, signal) : null,
    ]);
    remember(metrics, (one) => (!queue || one.queue === queue) && (!kind || one.kind === kind));
    // What the storage says now, or what the monitor has sampled of it.
    const counts = counted?.counts || metrics.all_nodes.counts || [];
    page.data = {key, pointsAt: stale ? Date.now() : page.data.pointsAt, metrics, points, counts, alerts, workers};
  },
  draw(page) {
    const {metrics, points, counts: all, alerts, workers} = page.data;
    const {queue, kind} = page.query;
    const [range, , span] = rangeOf(page);
    const counts = all.filter((one) => (!queue || one.queue === queue) && (!kind || one.kind === kind));
    const names = (field) => [...new Set(all.map((one) => one[field]))].sort();
    const choose = (name, label, list) => h('select', {'aria-label': label, onchange: (event) => go([], {...page.query, [name]: event.target.value})},
      h('option', {value: '', selected: !page.query[name]}, `All ${name}s`), list.map((one) => h('option', {value: one, selected: page.query[name] === one}, one)));
    return [
      head('Overview', choose('queue', 'Queue', names('queue')), choose('kind', 'Kind', names('kind')),
        h('div.segments', {role: 'group', 'aria-label': 'Range of the charts'}, ranges.map(([name, text]) =>
          h('button', {type: 'button', 'aria-pressed': String(name === range), onclick: () => go([], {...page.query, range: name})}, text)))),
      firing(alerts),
      figures(metrics, points, counts, workers),
      h('ul.counts', {'aria-label': 'Jobs by state'}, states.map((state) => {
        const n = counts.filter((one) => one.state === state).reduce((sum, one) => sum + one.count, 0);
        return h('li', {class: `t-${state}`}, h('a', {href: link(['jobs'], {state, queue, kind})}, h('b', {title: count(n)}, compact(n)), h('span', state)));
      })),
      h('div.charts', charts(points, span, range)),
      kinds(metrics, page),
    ];
  },
};

function firing(alerts) {
  const on = (alerts?.alerts || []).filter((one) => one.status === 'firing' && !one.silenced);
  if (!on.length) return null;
  return h('div.firing', {role: 'status'}, h('a', {href: link(['alerts'])}, `${on.length === 1 ? 'An alert is' : `${on.length} alerts are`} firing`),
    on.slice(0, 4).map((one) => h('span', badge(one.severity), ` ${[one.rule, one.labels.queue, one.labels.kind].filter(Boolean).join(' \u00b7 ')}`)));
}

function figures(metrics, points, counts, workers) {
  const sum = (name, window) => metrics.jobs.reduce((total, one) => total + (one.rates?.[window]?.[name] || 0), 0);
  const rates = liveRates();
  const done = rates.at(-1)?.completed ?? sum('per_second', '10s');
  const latest = points.findLast((one) => one.run_s?.count > 0);
  const ended = latest ? latest.completed + latest.failed : 0;
  const ready = counts.filter((one) => one.state === 'ready').reduce((total, one) => total + one.count, 0);
  const oldest = Math.max(0, ...(metrics.all_nodes.oldest_ready || []).map((one) => one.age_s));
  const {running, slots} = metrics.node;
  const fit = workers?.workers?.filter((one) => one.healthy).length;
  const cards = [
    ['Throughput', `${rate(done)} /s`, 'this process, now'],
    ['Failing', ended ? percent(latest.failed / ended) : percent(0), 'of the latest runs'],
    ['Wait p95', seconds(latest?.wait_s?.p95), `p50 ${seconds(latest?.wait_s?.p50)}`],
    ['Run p95', seconds(latest?.run_s?.p95), `p50 ${seconds(latest?.run_s?.p50)}`],
    ['Ready', compact(ready), oldest ? `oldest for ${seconds(oldest)}` : 'nothing waits'],
    ['Running', `${count(running)} / ${count(slots)}`, slots ? `${percent(running / slots)} busy` : 'this process runs none'],
    workers ? ['Workers', workers.workers.length ? `${fit} / ${workers.workers.length}` : count((workers.nodes || []).length), workers.workers.length ? 'healthy' : 'nodes'] : null,
  ].filter(Boolean);
  return h('dl.figures', cards.map(([name, value, note]) => h('div', h('dt', name), h('dd', h('b', value), h('small', note)))));
}

function charts(points, span, range) {
  const to = now();
  const from = to - span * 1000;
  // What has only just begun says nothing of a rate.
  points = points.filter((point) => !point.open || to - Date.parse(point.from) > 20000);
  const step = (points[0]?.length_s || 60) * 1000;
  // A point stands in the middle of its time, or at its end as far as that has come.
  const at = (point) => Math.min(Date.parse(point.from) + step / 2, to);
  const series = (name, tone, value, area = false) => ({name, tone, area, points: points.map((point) => {
    const v = value(point);
    return [at(point), Number.isFinite(v) ? v : null];
  })});
  const length = (point) => (point.open ? Math.max(1, Math.min(point.length_s, (to - Date.parse(point.from)) / 1000)) : point.length_s);
  const through = [series('completed', 'good', (one) => one.completed / length(one), true), series('failed', 'bad', (one) => one.failed / length(one))];
  let gap = step * 1.6;
  if (range === '5m') {
    const rates = liveRates();
    const began = rates[0]?.t ?? Infinity;
    ['completed', 'failed'].forEach((name, i) => {
      through[i].points = [...through[i].points.filter(([t]) => t < began), ...rates.map((one) => [one.t, one[name]])];
    });
    gap = 130000;
  }
  const common = {from, to, gap};
  const times = (title, name, note) => chart({...common, title, note, format: seconds,
    series: [series('p50', 'a', (one) => one[name]?.p50), series('p95', 'b', (one) => one[name]?.p95), series('p99', 'c', (one) => one[name]?.p99)]});
  return [
    chart({...common, title: 'Throughput', note: 'runs per second', format: rate, series: through}),
    chart({...common, title: 'Queue depth', note: 'jobs', format: compact, whole: true,
      series: [series('ready', 'a', (one) => one.depth?.ready.mean, true), series('scheduled', 'c', (one) => one.depth?.scheduled.mean), series('running', 'good', (one) => one.depth?.running.mean)]}),
    times('Wait', 'wait_s', 'from due to begun'),
    times('Run', 'run_s', 'in the handler'),
  ];
}

function kinds(metrics, page) {
  const {queue, kind} = page.query;
  const rows = metrics.jobs.filter((one) => (!queue || one.queue === queue) && (!kind || one.kind === kind))
    .sort((a, b) => b.rates['1m'].per_second - a.rates['1m'].per_second || (a.kind < b.kind ? -1 : 1));
  if (!rows.length) return empty('Nothing has run yet', 'The kinds of jobs that this process runs will stand here.');
  return panel('By kind, as this process sees it', table({
    caption: 'Kinds of jobs', rows: rows.slice(0, 50), key: (one) => `${one.queue}\n${one.kind}`,
    columns: [
      ['Kind', 'name', (one) => h('a', {href: link(['jobs'], {kind: one.kind, queue: one.queue})}, one.kind)],
      ['Queue', 'name', (one) => one.queue],
      ['Per second', 'num', (one) => rate(one.rates['1m'].per_second)],
      ['Failing', 'num', (one) => h('span', {class: one.rates['5m'].failed_share > 0.1 ? 'bad' : ''}, percent(one.rates['5m'].failed_share))],
      ['Wait p95', 'num', (one) => seconds(one.wait_s.p95)],
      ['Run p50', 'num', (one) => seconds(one.run_s.p50)],
      ['Run p95', 'num', (one) => seconds(one.run_s.p95)],
      ['Completed', 'num', (one) => count(one.completed)],
      ['Failed', 'num', (one) => count(one.failed)],
      ['Dead', 'num', (one) => count(one.dead)],
    ],
  }));
}
