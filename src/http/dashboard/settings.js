// Who one is, the API keys, and how the service is configured.

import {at, del, get, post} from './api.js';
import {h} from './dom.js';
import {may, session} from './session.js';
import {ask, attempt, badge, button, copy, datetime, empty, facts, field, head, json, panel, show, small, table, time} from './ui.js';

const lines = (text) => text.split(/[\s,]+/).filter(Boolean);

export const settings = {
  title: 'Settings',
  async load(page) {
    page.data.keys = may('keys.manage') ? await get('keys', {}, page.signal).then(({keys}) => keys, (error) => {
      if (error.status === 404 || error.status === 403) return null;
      throw error;
    }) : null;
    page.data.roles = page.data.keys ? (await get('roles', {}, page.signal)).roles.map((one) => one.name) : [];
    page.data.config = may('config.read') ? await get('config', {}, page.signal).catch(() => null) : null;
  },
  draw(page) {
    const {me, info} = session;
    const list = (names) => (names ? (names.length ? names.join(', ') : 'none') : 'all');
    return [
      head('Settings'),
      h('div.columns', h('div', panel('You', facts([
        ['Name', me.name || 'nobody in particular'], ['Signed in by', me.via === 'open' ? 'nothing: the server is open' : me.via], ['Tenants', list(me.tenants)], ['Queues', list(me.queues)],
        ['Permissions', h('span.tags', me.permissions.map((one) => h('span.tag', one)))],
      ]))), h('div', panel('Server', facts([['Name', info?.name], ['API', info ? `version ${info.api}` : ''], ['Storage', info?.storage]])))),
      page.data.keys ? [h('div.head', h('h2', 'API keys'), button('New key', () => create(page.data.roles), {tone: 'primary'})), page.data.keys.length ? keyTable(page) : empty('No keys', 'A key lets a program or a person use the API with a role of its own.')] : null,
      page.data.config ? panel('Configuration', json(page.data.config)) : null,
    ];
  },
};

// A secret is shown once, and is nowhere afterwards.
function reveal(secret, title) {
  show(title, h('p', 'Copy it now: it is shown only this once.'), h('pre.code', {tabindex: 0}, secret), copy(() => secret, 'The key'));
}

async function create(roles) {
  let made = null;
  await ask({
    title: 'New API key', yes: 'Create', wide: true,
    fields: h('div.grid',
      field('Name', {name: 'name', required: true, maxlength: 100}, {hint: 'Who or what it is for.'}),
      field('Role', {name: 'role', value: 'viewer'}, {options: [...roles, ['', 'none: these permissions']]}),
      field('Permissions', {name: 'permissions', placeholder: 'jobs.read'}, {hint: 'Instead of a role, with spaces.'}),
      field('Tenants', {name: 'tenants'}, {hint: 'Empty: all.'}),
      field('Queues', {name: 'queues'}, {hint: 'Empty: all.'}),
      field('Expires', {name: 'expires', type: 'datetime-local'}, {hint: 'Empty: never.'})),
    act: async (form) => {
      const body = {name: form.name};
      if (form.role) body.role = form.role;
      for (const name of ['permissions', 'tenants', 'queues']) if (form[name]) body[name] = lines(form[name]);
      if (form.expires) body.expires_at = datetime(form.expires);
      made = await post('keys', body);
    },
  });
  if (made) reveal(made.secret, 'The new key');
}

function keyTable(page) {
  const rotate = async (one) => {
    let made = null;
    await ask({title: `Rotate the key ${one.name}`, text: 'It gets a new secret.', yes: 'Rotate', fields: [field('The old one counts for', {name: 'grace', placeholder: '1h'}, {hint: 'Empty: it stops at once.'})], act: async ({grace}) => {
      made = await post(at`keys/${one.id}/rotate`, grace ? {grace} : {});
    }});
    if (made?.secret) reveal(made.secret, `The new secret of ${one.name}`);
  };
  return table({
    caption: 'API keys', rows: page.data.keys, key: (one) => one.id, rowClass: (one) => (one.revoked ? 'gone' : null),
    columns: [
      ['Name', 'name', (one) => one.name],
      ['Role', '', (one) => [one.role || '', one.permissions?.length ? h('small.dim', {title: one.permissions.join(', ')}, ` ${one.role ? '+ ' : ''}${one.permissions.length} permissions`) : null]],
      ['Reach', 'name', (one) => [one.tenants ? `tenants ${one.tenants.join(', ')}` : '', one.queues ? `queues ${one.queues.join(', ')}` : ''].filter(Boolean).join('; ') || 'all'],
      ['Created', 'nowrap', (one) => time(one.created_at)],
      ['Last used', 'nowrap', (one) => time(one.last_used_at, 'never')],
      ['Expires', 'nowrap', (one) => (one.revoked ? badge('revoked', 'dead') : time(one.expires_at, 'never'))],
      ['Actions', 'do', (one) => (one.revoked ? small('Forget', `Forget ${one.name}`, () => attempt(() => del(at`keys/${one.id}`))) : [
        small('Rotate', `Rotate ${one.name}`, () => rotate(one)),
        small('Revoke', `Revoke ${one.name}`, () => ask({title: `Revoke the key ${one.name}`, text: 'Whoever uses it is refused from then on.', yes: 'Revoke', tone: 'danger', act: () => del(at`keys/${one.id}`)}), 'danger')])],
    ],
  });
}
