// The parts that views are built of: badges, times, panels, tables, dialogs and short notices.

import {Refused} from './api.js';
import {fill, h, lazy} from './dom.js';
import {absolute, nothing, relative, seconds} from './format.js';
import {link} from './router.js';

export const states = ['blocked', 'scheduled', 'ready', 'running', 'completed', 'dead', 'cancelled'];
export const ended = (state) => state === 'completed' || state === 'dead' || state === 'cancelled';

export const badge = (text, tone = text) => h('span', {class: `badge t-${/^[a-z_]+$/.test(tone) ? tone : 'none'}`}, text);

export const time = (text, missing = nothing) =>
  text ? h('time', {datetime: text, title: absolute(text), 'data-at': Date.parse(text)}, relative(Date.parse(text))) : missing;

// Says since when, as a length: "for 3 s".
export const since = (text) =>
  text ? h('time', {datetime: text, title: absolute(text), 'data-at': Date.parse(text), 'data-since': true}, seconds(Math.max(0, (Date.now() - Date.parse(text)) / 1000))) : nothing;

export const jobLink = (id, text = id) => h('a.mono', {href: link(['jobs', id])}, text);

export const bar = (share, label) => {
  const percent = Math.max(0, Math.min(100, share * 100));
  return h('span.bar', {role: 'img', 'aria-label': label, title: label},
    h('span', {class: `fill${percent >= 90 ? ' full' : ''}`, style: {width: `${percent}%`}}));
};

export const progress = (percent, label) =>
  h('span.progress', h('progress', {max: 100, value: Math.max(0, Math.min(100, percent || 0)), 'aria-label': label || 'Progress'}),
    h('span.num', `${Math.round(percent || 0)} %`));

export const spinner = () => h('p.loading', {role: 'status'}, 'Loading');

export const empty = (title, text, ...more) => h('div.empty', h('h2', title), text ? h('p', text) : null, more);

export const panel = (title, ...children) => h('section.panel', {'aria-label': title}, h('h2', title), children);

export const head = (title, ...actions) => h('div.head', h('h1', title), h('div.actions', actions));

export const button = (text, onclick, {tone = '', label = null, disabled = false, key = null} = {}) =>
  h('button', {type: 'button', class: tone, onclick, 'aria-label': label, disabled, 'data-key': key}, text);

// For a row: its label says which row it is of.
export const small = (text, label, onclick, tone = '') => button(text, onclick, {tone: `small ${tone}`, label});

export const facts = (pairs) => h('dl.facts', pairs.filter(([, value]) => value !== undefined && value !== null && value !== '')
  .map(([name, value]) => h('div', h('dt', name), h('dd', value))));

export function json(value) {
  const text = JSON.stringify(value, null, 2) ?? 'null';
  const most = 100000;
  return h('pre.code', {tabindex: 0}, text.length <= most ? text : `${text.slice(0, most)}\n... (${text.length} characters in all)`);
}

export const copy = (text, what) => button('Copy', async () => {
  try {
    await navigator.clipboard.writeText(text());
    toast(`${what} copied`);
  } catch {
    toast('The browser does not let this page copy', 'bad');
  }
}, {tone: 'quiet small', label: `Copy ${what}`});

// columns: [[name, class, cell(item)], ...]. Rows are told apart by key(item), stay where they are when they change, and are made anew
// only where their item has changed, or `also`, which is what else their cells depend on.
export function table({caption, columns, rows, key, rowClass, select, hover, also}) {
  columns = columns.filter(Boolean);
  const cell = ([name, tone, of], item, i) => {
    const content = of(item);
    return h(i ? 'td' : 'th', {scope: i ? null : 'row', class: tone || null, 'data-label': name},
      tone === 'name' ? h('div.short', {title: typeof content === 'string' ? content : null}, content) : content);
  };
  const row = (item) => {
    const tone = rowClass?.(item);
    return lazy(h('tr', {'data-key': `r${key(item)}`, 'data-row': true, class: tone}), JSON.stringify([item, tone, also, columns.length, select?.has(item)]),
      () => [select ? h('td.pick', select.one(item)) : null, columns.map((column, i) => cell(column, item, i))]);
  };
  return h('div.scroll', {tabindex: 0, role: 'group', 'aria-label': caption},
    h('table', h('caption.sr', caption),
      h('thead', h('tr', select ? h('td.pick', select.all) : null, columns.map(([name, tone]) => h('th', {scope: 'col', class: tone || null}, name)))),
      h('tbody', {onmouseenter: hover?.enter, onmouseleave: hover?.leave}, rows.map(row))));
}

export function toast(text, tone = '') {
  const box = document.getElementById('toasts');
  const node = h('div', {class: `toast ${tone}`}, h('span.clamp', text), button('Dismiss', () => node.remove(), {tone: 'quiet small'}));
  box.append(node);
  while (box.childElementCount > 4) box.firstChild.remove();
  setTimeout(() => node.remove(), tone === 'bad' ? 12000 : 5000);
}

export function describe(error) {
  if (error instanceof Refused) {
    if (error.status === 403) return `You may not do this. ${error.message}`;
    const faults = error.faults.map((one) => `${one.pointer}: ${one.detail}`).join('; ');
    return faults && !error.message.includes(faults) ? `${error.message} ${faults}` : error.message;
  }
  return error.message;
}

let changed = () => {};
export const onChanged = (then) => (changed = then);

// Does something, says how it went, and gives true where it worked.
export async function attempt(what, done) {
  try {
    await what();
    if (done) toast(done);
    changed();
    return true;
  } catch (error) {
    toast(describe(error), 'bad');
    return false;
  }
}

let lastId = 0;

// A labelled field: field('Priority', {name: 'priority', type: 'number'}, {hint}). One that is drawn again needs an id of its own.
export function field(label, props, {hint, options, list, area} = {}) {
  lastId += 1;
  const id = props.id || `f${lastId}`;
  const described = hint ? `${id}h` : null;
  const common = {id, 'aria-describedby': described, autocomplete: 'off', ...props};
  const control = options
    ? h('select', common, options.map((one) => {
      const [value, text] = Array.isArray(one) ? one : [one, one];
      return h('option', {value, selected: String(value) === String(props.value ?? '')}, text);
    }))
    : area ? h('textarea', {rows: area, spellcheck: 'false', ...common, value: null}, props.value)
    : h('input', {type: 'text', spellcheck: 'false', ...common, list: list ? `${id}l` : null});
  return h('div', {class: `field ${props.class || ''}`}, h('label', {for: id}, label), control,
    list ? h('datalist', {id: `${id}l`}, list.map((one) => h('option', {value: one}))) : null,
    hint ? h('small', {id: described}, hint) : null);
}

export const check = (label, props) => {
  lastId += 1;
  return h('label.check', {for: `f${lastId}`}, h('input', {type: 'checkbox', id: `f${lastId}`, ...props}), ' ', label);
};

export const values = (form) => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));

// Asks with a form; `act(values)` may throw, which is said in the dialog. Gives true once it has worked, false where it was left.
export function ask({title, text, fields = [], yes = 'OK', tone = '', act, wide}) {
  return new Promise((resolve) => {
    const fault = h('p.fault', {role: 'alert'});
    const submit = h('button', {type: 'submit', class: tone || 'primary'}, yes);
    const form = h('form', {
      onsubmit: async (event) => {
        event.preventDefault();
        submit.disabled = true;
        fault.textContent = '';
        try {
          await act?.(values(form));
          changed();
          resolve(true);
          dialog.close();
        } catch (error) {
          fault.textContent = describe(error);
        }
        submit.disabled = false;
      },
    }, h('h2', {id: 'asked'}, title), text ? h('p', text) : null, fields, fault,
    h('div.actions.end', button('Cancel', () => dialog.close()), submit));
    const dialog = h('dialog', {'aria-labelledby': 'asked', class: wide ? 'wide' : '', onclose: () => {
      dialog.remove();
      resolve(false);
    }}, form);
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector('input:not([type=checkbox]), select, textarea') || submit).focus();
  });
}

export function show(title, ...children) {
  const dialog = h('dialog', {'aria-labelledby': 'shown', onclose: () => dialog.remove()},
    h('h2', {id: 'shown'}, title), children, h('div.actions.end', button('Close', () => dialog.close(), {tone: 'primary'})));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export const datetime = (text) => (text ? new Date(text).toISOString() : undefined);

// Times that are shown go on while nothing else changes.
export function tick() {
  for (const node of document.querySelectorAll('time[data-at]')) {
    const at = Number(node.dataset.at);
    const text = node.hasAttribute('data-since') ? seconds(Math.max(0, Math.floor((Date.now() - at) / 1000))) : relative(at);
    if (node.textContent !== text) node.textContent = text;
  }
}

export const notice = (...children) => fill(document.getElementById('notice'), children);
