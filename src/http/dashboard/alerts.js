// What is alerting, what is silenced, and the rules.

import {at, del, get, post} from './api.js';
import {h} from './dom.js';
import {rate, words} from './format.js';
import {link} from './router.js';
import {may} from './session.js';
import {ask, attempt, badge, button, empty, field, head, small, table, time} from './ui.js';

const figure = (value) => (typeof value === 'number' ? rate(value) : value ?? '');

export const alerts = {
  title: 'Alerts',
  types: ['alert'],
  every: 5,
  async load(page) {
    const [now, rules] = await Promise.all([get('alerts', {}, page.signal), get('alerts/rules', {}, page.signal).catch(() => ({rules: []}))]);
    page.data = {...now, ...rules};
  },
  draw(page) {
    const {alerts: all, silences, rules} = page.data;
    return [
      head('Alerts', may('alerts.manage') ? button('New silence', () => silence({})) : null),
      all.length ? active(all) : empty('All is well', 'No rule is beyond its threshold.'),
      h('h2', 'Silences'),
      silences.length ? silenceTable(silences) : h('p.dim', 'None. A silenced alert fires without anybody being told, until its time is over.'),
      h('h2', 'Rules'),
      rules.length ? ruleTable(rules) : h('p.dim', 'No rules are in force.'),
    ];
  },
};

const subject = ({labels: {queue, kind}}) => [queue ? h('a', {href: link(['jobs'], {queue})}, `queue ${queue}`) : null, queue && kind ? ', ' : null, kind ? h('a', {href: link(['jobs'], {kind})}, `kind ${kind}`) : null];

function active(all) {
  return table({
    caption: 'Alerts', rows: all, key: (one) => JSON.stringify([one.rule, one.labels]),
    columns: [
      ['Rule', 'name', (one) => [one.rule, h('small.dim.block', one.description)]],
      ['Severity', '', (one) => badge(one.severity)],
      ['About', 'name', subject],
      ['Status', '', (one) => [badge(one.status), one.silenced ? [' ', badge('silenced', 'cancelled')] : null]],
      ['Value', 'num', (one) => figure(one.value)],
      ['Threshold', 'num', (one) => figure(one.threshold)],
      ['Since', 'nowrap', (one) => time(one.since)],
      may('alerts.manage') ? ['Actions', 'do', (one) => (one.silenced ? null : small('Acknowledge', `Acknowledge ${[one.rule, one.labels.queue, one.labels.kind].filter(Boolean).join(' ')}`, () => silence({rule: one.rule, ...one.labels})))] : null,
    ],
  });
}

const silence = (one) => ask({
  title: one.rule ? `Acknowledge ${one.rule}` : 'New silence', yes: one.rule ? 'Acknowledge' : 'Silence', text: 'Nobody is told of it until then. It fires nevertheless, and is shown here.', wide: true,
  fields: h('div.grid',
    field('Rule', {name: 'rule', value: one.rule}, {hint: 'May end with *. Empty: all rules.'}),
    field('Queue', {name: 'queue', value: one.queue}, {hint: 'Empty: all.'}),
    field('Kind', {name: 'kind', value: one.kind}, {hint: 'Empty: all.'}),
    field('For', {name: 'for', value: '1h', required: true}, {list: ['30m', '1h', '4h', '24h', '72h']}),
    field('Reason', {name: 'reason', maxlength: 1000, placeholder: 'Looking into it'})),
  act: (form) => post('alerts/silences', Object.fromEntries(Object.entries(form).filter(([, value]) => value))),
});

function silenceTable(silences) {
  return table({
    caption: 'Silences', rows: silences, key: (one) => one.id,
    columns: [
      ['Of', 'name', ({match = {}}) => [match.rule || 'all rules', match.queue ? `, queue ${match.queue}` : '', match.kind ? `, kind ${match.kind}` : '']],
      ['Ends', 'nowrap', (one) => time(one.until)],
      ['Who', 'name', (one) => one.who || ''],
      ['Reason', 'wide', (one) => one.reason || ''],
      may('alerts.manage') ? ['Actions', 'do', (one) => small('End', `End the silence of ${one.match?.rule || 'all rules'}`, () => attempt(() => del(at`alerts/silences/${one.id}`), 'The silence has ended'))] : null,
    ],
  });
}

function ruleTable(rules) {
  return table({
    caption: 'Rules', rows: rules, key: (one) => one.name,
    columns: [
      ['Rule', 'name', (one) => [one.name, h('small.dim.block', one.description || '')]],
      ['Severity', '', (one) => badge(one.severity)],
      ['Fires', 'wide', (one) => words(`${one.metric === 'jobs' ? `${one.state} jobs` : one.metric} ${one.when} ${figure(one.threshold)}${one.queue ? `, queue ${one.queue}` : ''}${one.kind ? `, kind ${one.kind}` : ''}`)],
      ['Held for', 'num', (one) => one.holdFor],
      ['Cool-down', 'num', (one) => one.coolDown],
    ],
  });
}
