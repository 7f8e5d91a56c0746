// The frame around the views: navigation, sign-in, the connection, the theme and the keys.

import {get, hasKey, onReached, onSignedOut, setKey} from './api.js';
import {onBulkDone} from './bulk.js';
import {fill, h} from './dom.js';
import {listen} from './events.js';
import {setServerTime} from './format.js';
import {keys, shortcuts} from './keys.js';
import {Page} from './page.js';
import {go, link, start} from './router.js';
import {may, seesAll, seesAllTenants, session} from './session.js';
import {describe, empty, field, notice, onChanged, show, tick, values} from './ui.js';
import {alerts} from './alerts.js';
import {audit} from './audit.js';
import {failures} from './failures.js';
import {job} from './job.js';
import {dead, jobs} from './jobs.js';
import {overview} from './overview.js';
import {queues} from './queues.js';
import {schedule, schedules} from './schedules.js';
import {scheduleForm} from './schedule_form.js';
import {settings} from './settings.js';
import {workers} from './workers.js';

const allowed = (one) => (!one.needs || may(one.needs)) && (!one.reach || one.reach());
const views = [
  {path: '', name: 'Overview', view: overview, key: 'o', needs: 'metrics.read', reach: seesAll},
  {path: 'jobs', name: 'Jobs', view: jobs, one: job, key: 'j', needs: 'jobs.read'},
  {path: 'queues', name: 'Queues', view: queues, key: 'q', needs: 'queues.read', reach: seesAllTenants},
  {path: 'schedules', name: 'Schedules', view: schedules, one: schedule, edit: scheduleForm, key: 's', needs: 'schedules.read'},
  {path: 'workers', name: 'Workers', view: workers, key: 'w', needs: 'workers.read', reach: seesAll},
  {path: 'failures', name: 'Failures', view: failures, key: 'f', needs: 'jobs.read', reach: seesAllTenants},
  {path: 'dead', name: 'Dead letters', view: dead, key: 'd', needs: 'jobs.read'},
  {path: 'alerts', name: 'Alerts', view: alerts, key: 'a', needs: 'alerts.read', reach: seesAll},
  {path: 'audit', name: 'Audit', view: audit, key: 'u', needs: 'audit.read', reach: () => seesAll() && session.audit},
  {path: 'settings', name: 'Settings', view: settings, key: 't', needs: ''},
];

const element = (id) => document.getElementById(id);
let page = null;
let stream = null;
let streamTypes = '';
let lastEvent = '';
let started = false;
let unreachable = false;
let connection = {state: 'none', until: 0};

function pick(parts) {
  if (parts.length === 1 && parts[0] === 'new-schedule') return {path: 'schedules', show: scheduleForm};
  const found = views.find((one) => one.path === (parts[0] || ''));
  if (!found) return null;
  if (parts.length <= 1) return {...found, show: found.view};
  if (found.edit && parts.length === 3 && parts[2] === 'edit') return {...found, show: found.edit};
  return parts.length === 2 && found.one ? {...found, show: found.one} : null;
}

function route({parts, query}) {
  if (!session.me) return;
  // Who may not see the overview begins with what they may see.
  if (!parts.length && !allowed(views[0])) {
    go([views.find(allowed).path], {}, {replace: true});
    return;
  }
  const where = pick(parts);
  drawNav(where?.path);
  setMenu(false);
  const same = page && where && page.view === where.show && page.parts.join('/') === parts.join('/');
  if (same) {
    page.change(query);
    return;
  }
  page?.close();
  page = null;
  if (!where) {
    fill(element('view'), h('h1', 'Not found'), empty('There is no such view', 'The address may be mistyped.', h('a', {href: '#/'}, 'To the overview')));
    return;
  }
  // Nothing of the view before stays: the nodes of two views have nothing in common.
  element('view').replaceChildren();
  window.scrollTo(0, 0);
  page = new Page(where.show, parts, query);
  page.open();
  follow();
}

function drawNav(current) {
  fill(element('nav'), h('ul', views.filter(allowed).map((one) => h('li', h('a', {
    href: one.path ? link([one.path]) : '#/', 'aria-current': one.path === current ? 'page' : null, title: `g ${one.key}`,
  }, one.name)))),
  h('p.who', session.me.via === 'open' ? 'Open server' : session.me.name,
    hasKey() ? h('button', {type: 'button', class: 'quiet small', onclick: signOut}, 'Sign out') : null));
}

function setMenu(open) {
  element('menu').setAttribute('aria-expanded', String(open));
  element('nav').classList.toggle('open', open);
}

// One stream, of those types that the view shows; it goes on where it broke off.
function follow() {
  const types = ['alert', 'worker', 'system', ...(page?.view.types || [])].filter((one, i, all) => all.indexOf(one) === i).sort();
  if (!may('events.read')) {
    setConnection('polling');
    return;
  }
  if (stream && streamTypes === types.join()) return;
  const same = streamTypes === types.join();
  if (stream) lastEvent = stream.close() || lastEvent;
  streamTypes = types.join();
  stream = listen({
    types,
    lastId: same ? lastEvent : '',
    onEvent: (event) => {
      if (page && (event.type === 'gap' || concerns(page.view.types || [], event.type))) page.event(event);
    },
    onState: (state, until) => {
      if (state === 'refused' && until === 401) signIn();
      else setConnection(state === 'refused' ? 'polling' : state, until);
      // What was missed meanwhile.
      if (state === 'live') page?.soon();
    },
  });
}

const concerns = (types, type) => types.some((one) =>
  one === 'system' ? /^(service|kind|config|schedule)_/.test(type) : type.startsWith(one));

function setConnection(state, until = 0) {
  connection = {state, until};
  drawConnection();
}

function drawConnection() {
  const {state, until} = connection;
  const lost = state === 'lost' || unreachable;
  const text = lost ? 'Connection lost' : state === 'live' ? 'Live' : state === 'polling' ? 'Refreshing' : '';
  fill(element('connection'), text ? [h('span', {class: `dot ${lost ? 'bad' : state}`, 'aria-hidden': 'true'}), text] : null);
  if (!lost) {
    notice();
    return;
  }
  const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  notice(h('div.lost', h('span', 'The connection to the server is lost. What you see may be old.'),
    h('span.dim', left ? `Trying again in ${left} s.` : 'Trying again.'),
    h('button', {type: 'button', class: 'small', onclick: () => {
      stream?.retry();
      page?.refresh();
    }}, 'Try now')));
}

async function enter() {
  session.me = await get('me');
  const [info, audited] = await Promise.all([get('info').catch(() => null), may('audit.read') && get('audit', {limit: 1}).then(() => true, () => false)]);
  session.info = info;
  session.audit = audited;
  if (info?.now) setServerTime(info.now);
  element('door').replaceChildren();
  element('app').classList.remove('out');
  element('where').textContent = session.info?.storage || '';
  if (started) window.dispatchEvent(new HashChangeEvent('hashchange'));
  else start(route);
  started = true;
}

function leave() {
  page?.close();
  page = null;
  stream?.close();
  stream = null;
  streamTypes = '';
  session.me = null;
  element('app').classList.add('out');
  element('view').replaceChildren();
}

function signOut() {
  setKey(null);
  leave();
  boot();
}

function signIn(why) {
  if (element('door').hasChildNodes()) return;
  leave();
  const fault = h('p.fault', {role: 'alert'}, why);
  const form = h('form.panel', {onsubmit: async (event) => {
    event.preventDefault();
    fault.textContent = '';
    setKey(values(form).key);
    try {
      await enter();
    } catch (error) {
      setKey(null);
      fault.textContent = error.status === 401 ? 'This key is not known here, or is no longer valid.' : describe(error);
    }
  }}, h('h1', 'Sign in'), h('p', 'This server asks for an API key. It is kept until this tab is closed.'),
  field('API key', {name: 'key', type: 'password', required: true}), fault, h('button.primary', {type: 'submit'}, 'Sign in'));
  document.title = 'Sign in \u00b7 quern';
  fill(element('door'), h('main.door', form));
  form.querySelector('input').focus();
}

async function boot() {
  try {
    await enter();
  } catch (error) {
    if (error.status === 401) {
      const had = hasKey();
      setKey(null);
      signIn(had ? 'Your key is no longer valid.' : '');
      return;
    }
    fill(element('door'), h('main.door', empty('quern does not answer', describe(error),
      h('button', {type: 'button', class: 'primary', onclick: boot}, 'Try again'))));
  }
}

onSignedOut(() => {
  if (!session.me) return;
  setKey(null);
  signIn('You have been signed out: your key is no longer valid.');
});
onReached((reached) => {
  if (unreachable === !reached) return;
  unreachable = !reached;
  drawConnection();
});

const themes = ['auto', 'light', 'dark'];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const button = element('theme');
  button.textContent = `Theme: ${theme}`;
  try {
    localStorage.setItem('quern.theme', theme);
  } catch {
    // Then it lasts as long as the page.
  }
}
const nextTheme = () => setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]);

const showKeys = () => show('Keyboard shortcuts', h('dl.keys', shortcuts(views.filter(allowed))
  .map(([key, text]) => h('div', h('dt', key.split(' ').map((one) => h('kbd', one))), h('dd', text)))));

element('theme').onclick = nextTheme;
element('help').onclick = showKeys;
element('menu').onclick = () => setMenu(element('menu').getAttribute('aria-expanded') !== 'true');
element('skip').onclick = (event) => {
  event.preventDefault();
  element('main').focus();
};
setTheme(document.documentElement.dataset.theme);

keys({
  view: (key) => {
    const found = views.find((one) => one.key === key && allowed(one));
    if (found) go(found.path ? [found.path] : []);
  },
  help: showKeys,
  refresh: () => page?.refresh(),
  theme: nextTheme,
});

document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    if (stream) lastEvent = stream.close() || lastEvent;
    stream = null;
  } else if (session.me) {
    follow();
    page?.refresh();
  }
});
setInterval(() => {
  if (document.hidden) return;
  tick();
  if (connection.state === 'lost') drawConnection();
}, 1000);

// What one did oneself is shown at once, also where rows are held still.
onBulkDone(() => {
  if (page) page.fresh = true;
  page?.soon();
});
onChanged(() => {
  if (page) page.fresh = true;
  page?.refresh();
});
boot();
