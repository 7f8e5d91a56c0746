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
    page.data = await get('audit', {limit: 50, after: page.query.after}, page.signal);
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
          ['Who', 'name', (one) => text(one.who)],
          ['Action', 'name', (one) => text(one.action)],
          ['Object', 'name', (one) => text(one.object)],
          ['Outcome', '', (one) => badge(text(one.outcome), /ok|success|done|allowed/.test(one.outcome) ? 'completed' : 'dead')],
          ['From', 'name', (one) => text(one.from)],
          ['Details', 'wide', (one) => h('span', {class: 'clip', title: text(one.details)}, text(one.details))],
        ],
      }) : empty('Nothing has been recorded', 'Whoever changes something, or is refused, is written down here.'),
      h('nav', {class: 'pager', 'aria-label': 'Pages'}, page.query.after ? h('a', {class: 'button', href: link(['audit'])}, 'First page') : null,
        next ? h('a', {class: 'button', href: link(['audit'], {after: next})}, 'Next page') : null),
    ];
  },
};
