// Pages of jobs, with filters, and what can be done with many of them at once. Dead letters are the same with one state.

import {at, del, get, post} from './api.js';
import {each, followBulk} from './bulk.js';
import {h} from './dom.js';
import {absolute, compact, count, plural, words} from './format.js';
import {go, link} from './router.js';
import {may} from './session.js';
import {ask, badge, button, datetime, empty, ended, field, head, jobLink, progress, since, states, table, time} from './ui.js';

// Numbers of all tenants are not for those who see only some.
const unseen = (error) => {
  if (error.status !== 403) throw error;
};
const filters = ['queue', 'kind', 'tenant', 'tag', 'created_from', 'created_before'];

function view(name, onlyDead) {
  const path = [name];
  return {
    title: onlyDead ? 'Dead letters' : 'Jobs',
    types: ['job'],
    every: 10,
    enter(page) {
      page.selected = new Map();
      page.back = [];
    },
    changed(page) {
      page.selected.clear();
      page.all = false;
      page.fresh = true;
    },
    async load(page) {
      const {state, limit, order, after} = page.query;
      const query = {...(onlyDead ? {} : {state}), order, after, limit: limit || 50};
      for (const one of filters) query[one] = page.query[one];
      const [listed, counted] = await Promise.all([get(onlyDead ? 'dead' : 'jobs', query, page.signal), get('jobs/counts', {}, page.signal).catch(unseen)]);
      page.data.counts = counted?.counts;
      page.data.next = listed.next;
      page.data.loaded = listed.jobs;
      // Rows don't move under a pointer or away from a selection.
      const hold = page.data.jobs && !page.fresh && (page.over || page.selected.size > 0 || page.all);
      page.fresh = false;
      if (!hold) {
        page.data.jobs = listed.jobs;
        page.data.gone = new Set();
        page.data.more = 0;
        return;
      }
      const now = new Map(listed.jobs.map((one) => [one.id, one]));
      page.data.gone = new Set(page.data.jobs.filter((one) => !now.has(one.id)).map((one) => one.id));
      page.data.more = listed.jobs.filter((one) => !page.data.jobs.some((old) => old.id === one.id)).length;
      page.data.jobs = page.data.jobs.map((one) => now.get(one.id) || one);
    },
    draw: (page) => [
      head(onlyDead ? 'Dead letters' : 'Jobs'),
      onlyDead ? h('p.lead', 'Jobs that ended badly. They stay until somebody redrives or purges them, or they grow too old.') : tabs(page),
      filterBar(page, path),
      actions(page, onlyDead),
      page.data.jobs.length ? list(page, onlyDead) : none(page, onlyDead, path),
      pager(page, path),
    ],
  };
}

export const jobs = view('jobs', false);
export const dead = view('dead', true);

const matching = (page, state) => page.data.counts?.filter((one) => (!state || one.state === state)
  && (!page.query.queue || one.queue === page.query.queue) && (!page.query.kind || one.kind === page.query.kind))
  .reduce((sum, one) => sum + one.count, 0);

const rest = (page) => ({...page.query, after: undefined});

function tabs(page) {
  const chosen = page.query.state || '';
  return h('nav.tabs', {'aria-label': 'States'}, ['', ...states].map((state) => {
    const n = matching(page, state);
    return h('a', {href: link(['jobs'], {...rest(page), state}), 'aria-current': chosen === state ? 'page' : null, class: `t-${state || 'all'}`},
      state || 'all', n === undefined ? null : h('span.n', {title: count(n)}, compact(n)));
  }));
}

function filterBar(page, path) {
  const {query} = page;
  const names = (one) => [...new Set(page.data.counts?.map((row) => row[one]))].sort();
  const toLocal = (text) => {
    if (!text) return '';
    const then = new Date(text);
    return new Date(then - then.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  };
  const apply = (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.currentTarget));
    const id = form.id.trim().replace(/^#/, '');
    if (id) {
      go(['jobs', id]);
      return;
    }
    const next = {...rest(page), ...form, id: undefined, created_from: datetime(form.created_from), created_before: datetime(form.created_before)};
    for (const one of ['queue', 'kind', 'tenant', 'tag']) next[one] = form[one].trim();
    if (next.order === 'newest') next.order = '';
    go(path, next);
  };
  const change = (event) => event.currentTarget.form.requestSubmit();
  const active = filters.filter((one) => query[one]).length;
  const more = ['tenant', 'tag', 'created_from', 'created_before'].some((one) => query[one]) || (query.order && query.order !== 'newest');
  return h('form.filters', {role: 'search', 'aria-label': 'Filter jobs', onsubmit: apply},
    field('Job id', {id: 'f-id', name: 'id', inputmode: 'numeric', placeholder: 'Go to 123', 'data-search': true, class: 'slim'}),
    field('Queue', {id: 'f-queue', name: 'queue', value: query.queue || '', onchange: change, placeholder: 'any'}, {list: names('queue')}),
    field('Kind', {id: 'f-kind', name: 'kind', value: query.kind || '', onchange: change, placeholder: 'any'}, {list: names('kind')}),
    h('details', {open: more}, h('summary', 'More filters'), h('div.filters',
      field('Tenant', {id: 'f-tenant', name: 'tenant', value: query.tenant || '', onchange: change, placeholder: 'any'}),
      field('Tag', {id: 'f-tag', name: 'tag', value: query.tag || '', onchange: change, placeholder: 'any'}),
      field('Created from', {id: 'f-from', name: 'created_from', type: 'datetime-local', value: toLocal(query.created_from), onchange: change}),
      field('Created before', {id: 'f-before', name: 'created_before', type: 'datetime-local', value: toLocal(query.created_before), onchange: change}),
      field('Order', {id: 'f-order', name: 'order', value: query.order || 'newest', onchange: change}, {options: [['newest', 'newest first'], ['oldest', 'oldest first']]}))),
    h('div.actions', h('button', {type: 'submit'}, 'Apply'),
      active ? h('a.button', {href: link(path, {state: query.state, limit: query.limit})}, 'Clear') : null));
}

// When what matters about it happened, or will.
function when(job) {
  if (job.state === 'running') return ['runs for ', since(job.started_at)];
  if (job.finished_at && ended(job.state)) return time(job.finished_at);
  if (job.state === 'scheduled') return time(job.run_at);
  return time(job.created_at);
}

function detail(job) {
  if (job.state === 'running' && job.progress) return [progress(job.progress.percent, `Job ${job.id}`), h('span.clip.dim', {title: job.progress.message}, job.progress.message)];
  const text = job.state === 'completed' ? '' : job.last_error?.message || job.end_message || '';
  return text ? h('span', {class: `clip ${job.state === 'dead' ? 'bad' : 'dim'}`, title: text}, text) : null;
}

function list(page, onlyDead) {
  const {jobs: rows, gone} = page.data;
  const pickable = may('jobs.manage') || may('jobs.delete');
  const every = rows.every((one) => page.selected.has(one.id));
  const set = (some, on) => {
    some.forEach((one) => (on ? page.selected.set(one.id, one) : page.selected.delete(one.id)));
    page.all = false;
    page.redraw();
  };
  const tenants = rows.some((one) => one.tenant);
  const tags = rows.some((one) => one.tags.length);
  return table({
    caption: `${plural(rows.length, 'job')} on this page`, rows, key: (one) => one.id,
    rowClass: (one) => [gone.has(one.id) ? 'gone' : '', page.selected.has(one.id) || page.all ? 'picked' : ''].join(' ').trim() || null,
    select: pickable ? {
      all: h('input', {type: 'checkbox', 'aria-label': 'Select all on this page', checked: every || page.all, onchange: (event) => set(rows, event.target.checked)}),
      has: (job) => page.all || page.selected.has(job.id),
      one: (job) => h('input', {type: 'checkbox', 'aria-label': `Select job ${job.id}`, checked: page.all || page.selected.has(job.id), onclick: (event) => {
        const shown = page.data.jobs;
        const place = (id) => shown.findIndex((one) => one.id === id);
        // With Shift, all from the one that was clicked last.
        const [i, from] = [place(job.id), event.shiftKey ? place(page.clicked) : -1];
        page.clicked = job.id;
        set(from < 0 ? [shown[i]] : shown.slice(Math.min(i, from), Math.max(i, from) + 1), event.target.checked);
      }}),
    } : null,
    hover: {
      enter: () => (page.over = true),
      leave: () => {
        page.over = false;
        if (page.data.more || page.data.gone.size) page.soon();
      },
    },
    columns: [
      ['Job', '', (job) => jobLink(job.id)],
      ['Kind', 'name', (job) => job.kind],
      ['Queue', 'name', (job) => job.queue],
      onlyDead ? ['Reason', '', (job) => badge(words(job.dead_reason || 'dead'), 'dead')]
        : ['State', '', (job) => [badge(job.state), job.cancel_requested && job.state === 'running' ? h('small.dim', ' cancelling') : null]],
      ['Attempt', 'num', (job) => `${job.attempt}${job.max_attempts ? ` / ${job.max_attempts}` : ''}`],
      [onlyDead ? 'Died' : 'When', 'nowrap', when],
      tenants ? ['Tenant', 'name', (job) => job.tenant || ''] : null,
      tags ? ['Tags', 'tags', (job) => job.tags.slice(0, 3).map((one) => h('a.tag.clip', {title: one, href: link([onlyDead ? 'dead' : 'jobs'], {tag: one})}, one))] : null,
      ['Detail', 'wide', detail],
    ],
  });
}

function none(page, onlyDead, path) {
  const filtered = filters.some((one) => page.query[one]) || page.query.state;
  if (onlyDead && !filtered) return empty('No dead letters', 'No job has ended badly. When one does, it is kept here with its errors until somebody redrives or purges it.');
  if (!filtered) return empty('No jobs yet', 'As soon as your program enqueues one, or a schedule does, it is here.');
  return empty('No job matches', 'Ended jobs are erased after a while; or the filter is too narrow.', h('a.button', {href: link(path)}, 'Show all'));
}

function pager(page, path) {
  const {query: {after, limit}} = page;
  const {next, more} = page.data;
  return h('nav.pager', {'aria-label': 'Pages'},
    more ? button(`Show ${plural(more, 'new job')}`, () => {
      page.over = false;
      page.fresh = true;
      page.refresh();
    }) : null,
    after ? h('a.button', {href: link(path, rest(page))}, 'First page') : null,
    after ? button('Back', () => history.back()) : null,
    next ? h('a.button', {href: link(path, {...page.query, after: next})}, 'Next page') : null,
    h('span.grow'),
    h('label', 'Per page ', h('select', {onchange: (event) => go(path, {...rest(page), limit: event.target.value})},
      [25, 50, 100, 250, 500].map((n) => h('option', {value: n, selected: String(n) === (limit || '50')}, n)))));
}

// Every action: its permission, on which states it can be of use, and the fields it asks for.
const whenFields = () => [
  field('In', {name: 'in', placeholder: '10m'}, {hint: 'A duration such as 90s, 10m or 1h30m. Or:'}),
  field('At', {name: 'at', type: 'datetime-local', step: 1}),
];
export const whenOf = (form) => (form.at ? {at: datetime(form.at)} : {in: form.in});
export const deeds = {
  retry: {name: 'Retry', needs: 'jobs.manage', of: ended, text: 'With all attempts anew.'},
  cancel: {name: 'Cancel', needs: 'jobs.manage', of: (state) => !ended(state), text: 'What runs is asked to stop.'},
  reschedule: {name: 'Reschedule', needs: 'jobs.manage', of: (state) => state === 'scheduled' || state === 'ready', fields: whenFields, body: whenOf},
  priority: {name: 'Priority', needs: 'jobs.manage', of: (state) => !ended(state) && state !== 'running', body: (form) => ({priority: Number(form.priority)}),
    fields: (job) => [field('Priority', {name: 'priority', type: 'number', required: true, value: job?.priority ?? 4}, {hint: 'A lower number goes first.'})]},
  delete: {name: 'Delete', needs: 'jobs.delete', tone: 'danger', of: (state) => state !== 'running', text: 'With payload, result and errors. This can\u2019t be undone.'},
};
export const perform = (deed, id, body) => (deed === 'delete' ? del(at`jobs/${id}`) : post(`jobs/${encodeURIComponent(id)}/${deed}`, body ?? {}));

function actions(page, onlyDead) {
  const {selected, all} = page;
  const total = matching(page, onlyDead ? 'dead' : page.query.state);
  const exact = total !== undefined && !filters.some((one) => page.query[one] && one !== 'queue' && one !== 'kind');
  const possible = Object.entries(deeds).filter(([deed, {needs, of}]) => may(needs) && (!onlyDead || deed === 'retry' || deed === 'delete')
    && (all ? onlyDead || !page.query.state || of(page.query.state) : [...selected.values()].some((one) => of(one.state))));
  if (!may('jobs.manage') && !may('jobs.delete')) return null;
  if (!selected.size && !all) {
    return h('div.chosen.idle', h('span.dim', 'Select jobs to act on them.'),
      page.data.jobs.length ? button('Select all that match', () => {
        page.all = true;
        page.redraw();
      }, {tone: 'quiet small'}) : null);
  }
  const what = all ? (exact ? `all ${plural(total, 'job')} that match${total === 1 ? 'es' : ''}` : 'all jobs that match') : plural(selected.size, 'job');
  const name = (deed) => (onlyDead ? {retry: 'Redrive', delete: 'Purge'}[deed] : deeds[deed].name);
  const act = async (deed) => {
    const one = deeds[deed];
    const ids = [...selected.values()].filter((job) => one.of(job.state)).map((job) => job.id);
    const title = `${name(deed)} ${all ? what : plural(ids.length, 'job')}`;
    const left = selected.size - ids.length;
    let run = null;
    const asked = await ask({
      title, yes: name(deed), tone: one.tone,
      text: [all ? describeFilter(page, onlyDead) : left > 0 ? `${plural(left, 'job')} of the selection can\u2019t be changed so. ` : '', one.text].filter(Boolean).join(' '),
      fields: one.fields?.(selected.values().next().value) || [],
      act: async (form) => {
        const body = one.body?.(form);
        if (!all) {
          run = () => each(ids, title, (id) => perform(deed, id, body));
          return;
        }
        const filter = filterOf(page);
        const {id} = onlyDead ? await post(deed === 'retry' ? 'dead/redrive' : 'dead/purge', {filter})
          : await post('jobs/bulk', {action: deed, filter: {...filter, states: page.query.state ? [page.query.state] : states.filter(one.of)}, ...body});
        run = () => followBulk(id, title);
      },
    });
    if (!asked) return;
    page.selected.clear();
    page.all = false;
    page.redraw();
    run();
  };
  return h('div.chosen', {role: 'group', 'aria-label': 'Actions on the selection'},
    h('strong', all ? what : `${plural(selected.size, 'job')} selected`),
    possible.map(([deed, {tone}]) => button(name(deed), () => act(deed), {tone: `small ${tone || ''}`, key: deed})),
    !all && selected.size === page.data.jobs.length && (page.data.next || page.query.after) ? button(exact ? `Select all ${count(total)} that match` : 'Select all that match', () => {
      page.all = true;
      page.redraw();
    }, {tone: 'quiet small'}) : null,
    button('Clear', () => {
      page.selected.clear();
      page.all = false;
      page.redraw();
    }, {tone: 'quiet small'}));
}

const filterOf = (page) => Object.fromEntries(filters.filter((one) => page.query[one]).map((one) => [one, page.query[one]]));

function describeFilter(page, onlyDead) {
  const parts = [onlyDead ? '' : page.query.state ? `state ${page.query.state}` : '',
    ...filters.filter((one) => page.query[one]).map((one) => `${one.replace('_', ' ')} ${one.startsWith('created') ? absolute(page.query[one]) : page.query[one]}`)].filter(Boolean);
  return parts.length ? `All jobs with ${parts.join(', ')}: also those on other pages.` : onlyDead ? 'All dead jobs, of all queues.' : 'All jobs of all queues and states for which that is possible.';
}
