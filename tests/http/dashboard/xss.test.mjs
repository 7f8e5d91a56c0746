// Text that would like to be markup, in every field that the API has: it is shown, and nothing of it happens.

import assert from 'node:assert/strict';
import {after, test} from 'node:test';

import {closeAll, start, views} from './support.mjs';

after(closeAll);

const corpus = [
  '<script>window.fired=1</script>',
  '"><img src=x onerror=window.fired=1>',
  "'><svg/onload=window.fired=1>",
  '<iframe srcdoc="<script>parent.fired=1</script>"></iframe>',
  'javascript:window.fired=1',
  '</title></textarea></style><script>window.fired=1</script>',
  '<a href="javascript:window.fired=1" autofocus onfocus=window.fired=1>x</a>',
  '<style>*{display:none}</style>',
  '<math><mtext><table><mglyph><style><img src=x onerror=window.fired=1>',
  '{{constructor.constructor("window.fired=1")()}}${window.fired=1}',
  '<base href="//evil.example/"><form action=//evil.example><button>',
  'data:text/html,<script>parent.fired=1</script>',
  '\u202e<b onmouseover=window.fired=1>\u2028\u0000&lt;script&gt;',
  '" style="position:fixed;inset:0" onclick="window.fired=1',
  '__proto__',
];

// Every text of the answer that is no time, number or state of the contract's is replaced.
const kept = /^(state|at|.*_at|.*_s|id|job|next|since|until|begins|instant|last|due|decided|first_seen|last_seen|from|status|via|per|timeout|for|permissions|offset|algorithm|reason|percent|fingerprint|number)$/;
let i = 0;
function poison(value, name = '') {
  if (typeof value === 'string') {
    if (kept.test(name) && name !== 'reason') return value;
    i += 1;
    return corpus[i % corpus.length];
  }
  if (Array.isArray(value)) return value.map((one) => poison(one, name));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, poison(one, key)]));
  return value;
}

test('texts of the API are text in the page', {timeout: 300000}, async () => {
  let poisoned = 0;
  // The server of this test says such things everywhere; only states and times are what they are.
  const session = await start({open: true, change: (body) => {
    poisoned += 1;
    const other = poison(body);
    if (other.counts) other.counts = other.counts.map((one, n) => ({...one, state: ['dead', 'ready'][n % 2]}));
    return other;
  }});
  const {page, world, faults, violations} = session;
  try {
    const job = world.add({kind: corpus[0], queue: corpus[1], payload: Object.fromEntries(corpus.map((text) => [text, [text]])), tags: corpus.slice(2, 6), tenant: corpus[6], unique_key: corpus[7], created_by: corpus[8]});
    world.start(job);
    world.progress(job, 12, corpus[3]);
    world.fail(job, corpus.join('\n'));
    job.log = {dropped: 1, lines: corpus.map((text) => ({at: job.created_at, level: text, message: text, fields: {[text]: text}}))};
    world.schedules.set(corpus[1], {...world.schedules.get('daily-report'), name: corpus[1]});

    await page.goto(session.server.url);
    await page.locator('#view h1').waitFor();
    const all = {...views, job: `#/jobs/${job.id}`, schedule: `#/schedules/${encodeURIComponent(corpus[1])}`, edit: '#/schedules/daily-report/edit'};
    const seen = [];
    for (const [name, hash] of Object.entries(all)) {
      await page.evaluate((to) => (location.hash = to), hash);
      await page.waitForFunction(() => !document.querySelector('#view .loading') && document.querySelector('#view h1'));
      await page.waitForTimeout(name === 'overview' ? 2600 : 300);
      // What is closed is opened, what reacts to the pointer is touched.
      await page.evaluate(() => document.querySelectorAll('details').forEach((one) => (one.open = true)));
      for (const cell of await page.locator('#view td, #view th, #view pre, #view li').all().then((list) => list.slice(0, 40))) await cell.hover({timeout: 300000, force: true}).catch(() => {});
      const state = await page.evaluate(() => ({
        fired: window.fired,
        strange: [...document.querySelectorAll('body :is(script, img, iframe, style, base, object, embed, math, link)')].map((node) => node.outerHTML.slice(0, 100)),
        links: [...document.querySelectorAll('a[href]')].map((node) => node.getAttribute('href')).filter((href) => !/^#(\/|main$)/.test(href)),
        handlers: [...document.querySelectorAll('body *')].filter((node) => [...node.attributes].some((one) => /^on/i.test(one.name))).length,
        text: document.body.innerText,
      }));
      assert.equal(state.fired, undefined, name);
      assert.deepEqual(state.strange, [], name);
      assert.deepEqual(state.links, [], name);
      assert.equal(state.handlers, 0, name);
      if (corpus.some((text) => state.text.includes(text.slice(0, 24)))) seen.push(name);
    }
    // It was there to be seen.
    assert.deepEqual(seen.sort(), Object.keys(all).sort());
    assert.ok(poisoned > 20);
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  } finally {
    await session.close();
  }
});

test('texts of problems and events are text in the page', {timeout: 300000}, async () => {
  const session = await start({});
  const {page, world, faults, signIn, go, violations} = session;
  try {
    await signIn();
    await go('#/queues', 'Queues');
    for (const text of corpus) {
      await page.route('**/api/queues/mail/pause', (route) => route.fulfill({status: 409, contentType: 'application/problem+json', body: JSON.stringify({type: text, title: text, status: 409, detail: text, errors: [{pointer: text, detail: text}]})}));
      await page.getByRole('button', {name: 'Pause mail'}).click();
      await page.locator('.toast').last().getByText(text.replace(/[\u0000\u2028]/g, '').slice(0, 12)).first().waitFor();
      await page.getByRole('button', {name: 'Dismiss'}).click();
      await page.unroute('**/api/queues/mail/pause');
      world.tell('job.failed', {job: text, kind: text, queue: text, attempt: 1, message: text});
      world.tell(`job.${text.replaceAll('\n', '')}`, {message: text});
    }
    assert.equal(await page.evaluate(() => window.fired), undefined);
    assert.equal(await page.locator('body img, body iframe, body style').count(), 0);
    assert.deepEqual(await violations(), []);
    assert.deepEqual(faults, []);
  } finally {
    await session.close();
  }
});

test('the policy stops a script even where it got into the page', {timeout: 300000}, async () => {
  const session = await start({open: true});
  const {page, violations} = session;
  try {
    await page.goto(session.server.url);
    await page.locator('#view h1').waitFor();
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.fired = 1';
      document.body.append(script);
      const image = document.createElement('div');
      image.setAttribute('onclick', 'window.fired = 1');
      document.body.append(image);
      image.click();
    });
    assert.equal(await page.evaluate(() => window.fired), undefined);
    assert.ok((await violations()).length >= 2);
  } finally {
    await session.close();
  }
});
