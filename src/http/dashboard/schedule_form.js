// Makes and changes a schedule, with its next times shown while it is written.

import {at, get, post, put} from './api.js';
import {fill, h} from './dom.js';
import {go, link} from './router.js';
import {may} from './session.js';
import {parseJson, specOf, times} from './schedules.js';
import {check, datetime, describe, empty, field, head, panel, toast} from './ui.js';

const lines = (text) => text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);

// What is given is set, what is empty is left to its default. The spec that is edited keeps what this form does not show.
function specFrom(form, old) {
  const text = (name) => String(form.get(name) ?? '').trim();
  const spec = {...old, timing: {...old.timing}};
  const set = (target, name, value) => {
    if (value === '' || value === undefined || (Array.isArray(value) && !value.length)) delete target[name];
    else target[name] = value;
  };
  const {timing} = spec;
  const how = text('how');
  set(timing, 'cron', how === 'cron' ? text('cron') : '');
  set(timing, 'every', how === 'every' ? text('every') : '');
  set(timing, 'at', how === 'at' ? lines(text('at')) : '');
  if (how !== 'every') delete timing.anchor;
  for (const name of ['zone', 'gap', 'overlap', 'jitter']) set(timing, name, text(name));
  set(timing, 'except', lines(text('except')));
  set(timing, 'start', text('start') ? datetime(text('start')) : '');
  set(timing, 'until', text('until') ? datetime(text('until')) : '');
  const within = text('days') || text('from') || text('to');
  set(timing, 'within', within ? [{days: text('days') || '*', from: text('from') || '00:00', to: text('to') || '24:00'}, ...(old.timing?.within || []).slice(1)] : '');
  for (const name of ['name', 'kind', 'queue', 'tenant', 'timeout', 'missed', 'when_busy']) set(spec, name, text(name));
  set(spec, 'tags', lines(text('tags')));
  set(spec, 'payload', text('payload') ? parseJson(text('payload')) : '');
  for (const name of ['priority', 'max_attempts', 'max_runs']) set(spec, name, text(name) ? Number(text(name)) : '');
  spec.skip_if_queue_busy = form.get('skip_if_queue_busy') !== null;
  return spec;
}

export const scheduleForm = {
  title: (page) => (page.parts[0] === 'new-schedule' ? 'New schedule' : `Edit ${page.parts[1]}`),
  async load(page) {
    if (page.data.form) return;
    page.data.old = page.parts[0] === 'new-schedule' ? null : specOf(await get(at`jobs/schedules/${page.parts[1]}`, {}, page.signal));
  },
  leave(page) {
    clearTimeout(page.timer);
    clearTimeout(page.data.wait);
  },
  draw(page) {
    if (!may('schedules.manage')) return [head(scheduleForm.title(page)), empty('You may not change schedules', 'Your key lacks the permission schedules.manage.')];
    // Drawn once: it belongs to who writes in it.
    page.data.form ||= build(page);
    return page.data.form;
  },
};

function build(page) {
  const {old} = page.data;
  const one = old || {timing: {cron: '0 9 * * MON-FRI', zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'}, queue: 'default'};
  const timing = one.timing || {};
  const how = timing.every ? 'every' : timing.at?.length ? 'at' : 'cron';
  const local = (text) => (text ? new Date(Date.parse(text) - new Date(text).getTimezoneOffset() * 60000).toISOString().slice(0, 19) : '');
  const preview = h('div.preview', {'aria-live': 'polite'}, h('p.dim', 'Loading'));
  const fault = h('p.fault', {role: 'alert'});
  const window = timing.within?.[0] || {};
  let asked = 0;

  const look = async () => {
    asked += 1;
    const own = asked;
    try {
      const spec = specFrom(new FormData(form), old || {});
      const told = await post('jobs/schedules/preview?count=10', {...spec, name: spec.name || 'preview', kind: spec.kind || 'preview'});
      if (own === asked) fill(preview, h('p', h('strong', told.description)), times(told));
    } catch (error) {
      if (own === asked) fill(preview, h('p.fault', describe(error)));
    }
  };
  const soon = () => {
    clearTimeout(page.data.wait);
    page.data.wait = setTimeout(look, 300);
  };
  const choose = () => {
    const now = new FormData(form).get('how');
    for (const part of form.querySelectorAll('[data-how]')) part.hidden = part.dataset.how !== now;
    soon();
  };
  const kindOfTiming = (value, text) => h('label.check', h('input', {type: 'radio', name: 'how', value, checked: how === value, onchange: choose}), ' ', text);
  const submit = h('button.primary', {type: 'submit'}, old ? 'Save' : 'Create');

  const form = h('form.columns', {oninput: soon, onsubmit: async (event) => {
    event.preventDefault();
    fault.textContent = '';
    submit.disabled = true;
    try {
      const spec = specFrom(new FormData(form), old || {});
      if (old) await put(at`jobs/schedules/${old.name}`, spec);
      else await post('jobs/schedules', spec);
      toast(`${spec.name} is ${old ? 'saved' : 'created'}`);
      go(['schedules', spec.name]);
    } catch (error) {
      fault.textContent = describe(error);
    }
    submit.disabled = false;
  }},
  h('div',
    panel('When',
      h('fieldset', h('legend.sr', 'How the times are told'), kindOfTiming('cron', 'Cron expression'), kindOfTiming('every', 'Interval'), kindOfTiming('at', 'Single times')),
      h('div', {'data-how': 'cron', hidden: how !== 'cron'}, field('Cron', {name: 'cron', value: timing.cron ?? ''}, {hint: 'Minute, hour, day, month, day of the week: 0 9 * * MON-FRI'})),
      h('div', {'data-how': 'every', hidden: how !== 'every'}, field('Every', {name: 'every', value: timing.every ?? '', placeholder: '15m'}, {hint: 'A duration such as 30s, 15m or 12h.'})),
      h('div', {'data-how': 'at', hidden: how !== 'at'}, field('At', {name: 'at', value: (timing.at || []).join('\n')}, {area: 3, hint: 'Times in UTC, one a line: 2026-12-24T08:00:00Z'})),
      h('div.grid',
        field('Zone', {name: 'zone', value: timing.zone ?? 'UTC'}, {list: Intl.supportedValuesOf?.('timeZone') || ['UTC']}),
        field('Jitter', {name: 'jitter', value: timing.jitter ?? '', placeholder: '30s'}, {hint: 'Up to so much later.'})),
      h('details', {open: Boolean(timing.within?.length || timing.except?.length || timing.start || timing.until || timing.gap || timing.overlap)}, h('summary', 'Only at some times; shifts of the clocks'), h('div.grid',
        field('Days', {name: 'days', value: window.days ?? '', placeholder: 'MON-FRI'}),
        field('From', {name: 'from', value: window.from ?? '', placeholder: '09:00'}),
        field('To', {name: 'to', value: window.to ?? '', placeholder: '17:00'}),
        field('Not on', {name: 'except', value: (timing.except || []).join(', '), placeholder: '2026-12-24'}, {hint: 'Dates, with commas.'}),
        field('Start', {name: 'start', type: 'datetime-local', step: 1, value: local(timing.start)}),
        field('Until', {name: 'until', type: 'datetime-local', step: 1, value: local(timing.until)}),
        field('Where the clocks jump', {name: 'gap', value: timing.gap ?? ''}, {options: [['', 'as cron does'], ['skip', 'leave it out'], ['next_valid', 'right after the jump'], ['shift', 'late by the jump']]}),
        field('Where a time comes twice', {name: 'overlap', value: timing.overlap ?? ''}, {options: [['', 'as cron does'], ['first', 'the first time'], ['second', 'the second time'], ['both', 'both times']]})))),
    panel('What',
      h('div.grid',
        field('Name', {name: 'name', value: one.name ?? '', required: true, maxlength: 128, readonly: Boolean(old)}),
        field('Kind', {name: 'kind', value: one.kind ?? '', required: true}),
        field('Queue', {name: 'queue', value: one.queue ?? ''}),
        field('Priority', {name: 'priority', type: 'number', value: one.priority ?? ''}, {hint: 'A lower number goes first.'})),
      field('Payload', {name: 'payload', value: one.payload === undefined || one.payload === null ? '' : JSON.stringify(one.payload, null, 2)}, {area: 5, hint: 'JSON.'}),
      h('details', h('summary', 'More'), h('div.grid',
        field('Missed times', {name: 'missed', value: one.missed ?? ''}, {options: [['', 'made up for once'], ['skip', 'left out'], ['all', 'each made up for']]}),
        field('While the last job runs', {name: 'when_busy', value: one.when_busy ?? ''}, {options: [['', 'add the next all the same'], ['skip', 'leave it out'], ['queue_one', 'let one wait'], ['queue_all', 'let each wait'], ['cancel', 'cancel the last']]}),
        field('Attempts', {name: 'max_attempts', type: 'number', min: 0, value: one.max_attempts || ''}, {hint: 'Empty: as the kind has it.'}),
        field('Timeout', {name: 'timeout', value: one.timeout ?? '', placeholder: '30s'}),
        field('Tenant', {name: 'tenant', value: one.tenant ?? ''}),
        field('Tags', {name: 'tags', value: (one.tags || []).join(', ')}, {hint: 'With commas.'}),
        field('Most runs', {name: 'max_runs', type: 'number', min: 0, value: one.max_runs || ''}, {hint: 'Empty: any number.'}),
        check('Leave it out while its queue is busy', {name: 'skip_if_queue_busy', checked: Boolean(one.skip_if_queue_busy)})))),
    fault, h('div.actions', submit, h('a.button', {href: old ? link(['schedules', old.name]) : '#/schedules'}, 'Cancel'))),
  h('div', panel('Its next times', preview)));

  soon();
  return h('div.stack', {'data-keep': true}, head(old ? `Edit ${old.name}` : 'New schedule'), form);
}
