// Failed attempts, grouped by what went wrong.

import {at, get, post} from './api.js';
import {followBulk} from './bulk.js';
import {h} from './dom.js';
import {compact, count, plural, rate} from './format.js';
import {link} from './router.js';
import {may} from './session.js';
import {ask, badge, button, empty, head, jobLink, time} from './ui.js';

export const failures = {
  title: 'Failures',
  types: ['job'],
  every: 5,
  async load(page) {
    page.data = await get('failures', {}, page.signal);
  },
  event(page, event) {
    if (/failed|dead|gap/.test(event.type)) page.soon();
  },
  draw(page) {
    const {failures: groups} = page.data;
    return [
      head('Failures'),
      h('p.lead', 'Attempts that failed for the same reason, but for numbers, ids and addresses, as this process has seen them.'),
      groups.length ? h('ul.groups', groups.map((group) => one(page, group)))
        : empty('Nothing has failed', 'Since this process began, no attempt has failed that it has seen.'),
    ];
  },
};

function one(page, group) {
  const act = (what, text, permission, tone) => (may(permission) ? button(text, async () => {
    let id = null;
    const asked = await ask({
      title: `${text}: ${plural(group.dead, 'job')} of ${group.kind}`, yes: text, tone,
      text: what === 'retry' ? 'The dead jobs of this group run again, those of all processes.' : 'The dead jobs of this group are erased. This can\u2019t be undone.',
      act: async () => {
        ({id} = await post(at`failures/${group.fingerprint}/${what}`));
      },
    });
    if (asked && id) followBulk(id, `${text}: ${group.kind}`);
    if (asked) page.soon();
  }, {tone: `small ${tone || ''}`, key: what, label: `${text} of ${group.kind}: ${group.error.slice(0, 60)}`}) : null);
  const rates = group.per_second || {};
  // Where the last minute is above the last quarter of an hour it becomes more.
  const grows = rates['1m'] > 1.5 * rates['15m'] && rates['1m'] > 0;
  return h('li.panel', {'data-key': `${group.kind}\n${group.fingerprint}`, 'data-row': true},
    h('div.head',
      h('div.message', h('code.break.clamp', group.error), h('p.sub', h('a', {href: link(['jobs'], {kind: group.kind, state: 'dead'})}, group.kind), group.queues.length ? ` in ${group.queues.join(', ')}` : '')),
      h('div.actions', act('retry', 'Retry dead', 'jobs.manage'), act('delete', 'Delete dead', 'jobs.delete', 'danger'))),
    h('dl.inline',
      [['Failed', h('b', {title: count(group.count)}, compact(group.count))], ['Dead', h('b', {class: group.dead ? 'bad' : ''}, compact(group.dead))], ['First', time(group.first_seen)], ['Last', time(group.last_seen)],
        ['Per minute', [rate((rates['5m'] || 0) * 60), grows ? [' ', badge('growing', 'dead')] : null]]].map(([name, value]) => h('div', h('dt', name), h('dd', value)))),
    h('details', h('summary', plural(group.examples.length, 'example')), h('ul.examples', group.examples.map((example) => h('li', jobLink(example.job, `job ${example.job}`), h('span.dim', ` attempt ${example.attempt} `), time(example.at), h('pre.code', example.message))))));
}
