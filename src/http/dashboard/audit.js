// Who did what, and how it went.

import {get} from './api.js';
import {h} from './dom.js';
import {link} from './router.js';
import {badge, empty, head, table, time} from './ui.js';

const text = (value) => (value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value));

export const audit = {
  title: 'Audit',
  every: 10,
  async load(page) {
    page.data = await get('audit', {limit: 50, before: page.query.before}, page.signal);
  },
  draw(page) {
    const {entries, next} = page.data;
    return [
      head('Audit'),
      entries.length ? table({
        caption: 'Audit log', rows: entries, key: (one) => one.number,
        columns: [
          ['Number', '', (one) => h('span.mono', String(one.number))],
          ['When', 'nowrap', (one) => time(one.at)],
          ['Who', 'name', (one) => [text(one.who), h('small.dim', ' ', text(one.via))]],
          ['Action', 'nowrap', (one) => text(one.action)],
          ['Object', 'name', (one) => text(one.object)],
          ['Outcome', '', (one) => [badge(text(one.outcome), one.outcome < 400 ? 'completed' : 'dead'), h('small.dim', ' ', text(one.reason))]],
          ['From', 'name', (one) => text(one.from)],
          ['Details', 'wide', (one) => h('span.clip', {title: text(one.fault || one.details)}, text(one.fault || one.details))],
        ],
      }) : empty('Nothing has been recorded', 'Whoever changes something, or is refused, is written down here.'),
      h('nav.pager', {'aria-label': 'Pages'}, page.query.before ? h('a.button', {href: link(['audit'])}, 'First page') : null,
        next ? h('a.button', {href: link(['audit'], {before: next})}, 'Next page') : null),
    ];
  },
};
