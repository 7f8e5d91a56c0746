// How the dashboard looks: in light and dark, on a phone, with long names, and to those who don't see it.

import assert from 'node:assert/strict';
import {after, test} from 'node:test';

import {closeAll, start, views} from './support.mjs';

after(closeAll);

const all = {...views, job: '#/jobs/9', schedule: '#/schedules/daily-report', edit: '#/schedules/daily-report/edit'};

// `rest`: how long the overview is left to gather what it draws.
async function each(session, run, rest = 400) {
  for (const [name, hash] of Object.entries(all)) {
    await session.page.evaluate((to) => (location.hash = to), hash);
    await session.page.waitForFunction(() => !document.querySelector('#view .loading') && document.querySelector('#view h1'));
    await session.page.waitForTimeout(name === 'overview' ? rest : 400);
    await run(name);
  }
}

// Words that can't be read easily: the contrast of WCAG AA, 4.5 (3 where the text is large).
const weak = () => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const light = (color) => {
    const [r, g, b] = color.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Map();
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!own || !node.checkVisibility({visibilityProperty: true}) || node.closest('.sr, thead, [disabled], option, .gone')) continue;
    const style = getComputedStyle(node);
    const ground = behind(node);
    const [a, b] = [light(over(rgba(style.color), ground)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const need = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < need) found.set(`${node.nodeName}.${node.className}`, `${ratio.toFixed(2)}: ${node.textContent.slice(0, 30)}`);
  }
  return [...found].map((one) => one.join(' '));
};

for (const colorScheme of ['light', 'dark']) {
  test(`every view can be read in ${colorScheme}, and has its picture`, {timeout: 300000}, async () => {
    const session = await start({open: true, quiet: false, colorScheme});
    const {page} = session;
    try {
      await page.goto(session.server.url);
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(Number(ground.match(/\d+/)[0]) > 128, colorScheme === 'light');
      await each(session, async (name) => {
        await session.picture(`${name}-${colorScheme}`);
        assert.deepEqual(await page.evaluate(weak), [], name);
      }, 4200);
      assert.deepEqual(session.faults, []);
      assert.deepEqual(await session.violations(), []);
    } finally {
      await session.close();
    }
  });
}

test('the theme is chosen by hand, and stays', {timeout: 300000}, async () => {
  const session = await start({open: true, colorScheme: 'light'});
  const {page} = session;
  try {
    await page.goto(session.server.url);
    const dark = () => page.evaluate(() => Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0]) < 128);
    assert.equal(await dark(), false);
    await page.getByRole('button', {name: 'Theme: auto'}).click();
    assert.equal(await dark(), false);
    await page.getByRole('button', {name: 'Theme: light'}).click();
    assert.equal(await dark(), true);
    await page.reload();
    assert.equal(await dark(), true);
    await page.getByRole('button', {name: 'Theme: dark'}).click();
    assert.equal(await dark(), false);
  } finally {
    await session.close();
  }
});

const long = (n) => `${'an-extremely-long-name-without-a-place-to-break_'.repeat(3)}${n}`.replaceAll('-', '_');

test('no view is wider than a phone of 320 pixels, whatever the names are', {timeout: 300000}, async () => {
  const session = await start({
    open: true, viewport: {width: 320, height: 640},
    prepare: (world) => {
      for (let n = 0; n < 3; n += 1) {
        const job = world.add({kind: long(n), queue: long('queue'), tenant: long('tenant'), tags: [long('tag')], unique_key: long('key'), payload: {[long('field')]: long('value')}});
        world.start(job);
        world.progress(job, 30, long('progress'));
        if (n) world.fail(job, long('failure'));
      }
      world.schedules.set(long('schedule'), {...world.schedules.get('daily-report'), name: long('schedule'), kind: long('kind')});
      world.alerts.push({...world.alerts[0], rule: long('rule'), labels: {queue: long('queue')}});
      world.workers[0].id = long('worker');
      world.note(long('who'), long('action'), long('object'), 200, {reason: long('reason')});
      world.keys.set('k9', {...world.keys.get('k1'), id: 'k9', name: long('key'), queues: [long('queue')]});
    },
  });
  const {page} = session;
  try {
    await page.goto(session.server.url);
    all['job of long names'] = `#/jobs/${[...session.world.jobs.keys()].at(-1)}`;
    await each(session, async (name) => {
      const wide = await page.evaluate(() => ({
        page: document.documentElement.scrollWidth,
        what: [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > 321 && !node.closest('.tabs, .code, .sr, thead')).slice(0, 3).map((node) => `${node.nodeName}.${node.className}`),
      }));
      await session.picture(`phone-${name.replaceAll(' ', '-')}`);
      assert.equal(wide.page, 320, `${name}: ${wide.what}`);
      assert.deepEqual(wide.what, [], name);
    });
    await page.getByRole('button', {name: 'Menu'}).click();
    await page.getByRole('link', {name: 'Queues'}).click();
    await page.getByRole('heading', {level: 1, name: 'Queues'}).waitFor();
    await page.getByRole('link', {name: 'Workers'}).waitFor({state: 'hidden'});
    await page.getByRole('button', {name: `Limit ${long('queue')}`}).click();
    const box = await page.locator('dialog').boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 320);
    assert.deepEqual(session.faults, []);
  } finally {
    delete all['job of long names'];
    await session.close();
  }
});

test('long names do not break the views of a desk', {timeout: 300000}, async () => {
  const session = await start({
    open: true, viewport: {width: 1100, height: 800},
    prepare: (world) => {
      const job = world.add({kind: long(1), queue: long('queue'), tenant: long('tenant'), tags: [long('tag')], payload: null});
      world.start(job);
      world.fail(job, long('failure'));
      world.workers[0].id = long('worker');
      world.schedules.set(long('schedule'), {...world.schedules.get('daily-report'), name: long('schedule'), kind: long('kind')});
    },
  });
  try {
    await session.page.goto(session.server.url);
    await each(session, async (name) => {
      assert.equal(await session.page.evaluate(() => document.documentElement.scrollWidth), 1100, name);
      if (name === 'jobs' || name === 'workers') await session.picture(`long-names-${name}`);
    });
  } finally {
    await session.close();
  }
});

test('every control has a name, every table a caption, and every view one heading', {timeout: 300000}, async () => {
  const session = await start({open: true});
  const {page} = session;
  try {
    await page.goto(session.server.url);
    await each(session, async (name) => {
      const faults = await page.evaluate(() => {
        const named = (node) => node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length || node.getAttribute('aria-labelledby');
        return [
          ...[...document.querySelectorAll('button, a[href], input, select, textarea, progress, [role=img]')].filter((node) => node.checkVisibility() && !named(node)).map((node) => `no name: ${node.outerHTML.slice(0, 120)}`),
          ...[...document.querySelectorAll('table')].filter((node) => !node.caption?.textContent).map(() => 'a table without a caption'),
          ...(document.querySelectorAll('#view h1').length === 1 ? [] : ['not one h1']),
          ...(document.querySelectorAll('#app main').length === 1 && document.querySelector('nav[aria-label]') && document.querySelector('header') ? [] : ['landmarks are missing']),
          ...(document.querySelector('[aria-live]') ? [] : ['no live region']),
          ...[...document.querySelectorAll('[id]')].map((node) => node.id).filter((id, i, ids) => ids.indexOf(id) !== i).map((id) => `two of the id ${id}`),
          ...[...document.querySelectorAll('label[for]')].filter((node) => !document.getElementById(node.htmlFor)).map((node) => `a label of nothing: ${node.textContent}`),
        ];
      });
      assert.deepEqual(faults, [], name);
    });
    // Who listens is taken to the new view, and told its name.
    assert.equal(await page.evaluate(() => document.activeElement.nodeName), 'H1');
    assert.match(await page.title(), /^Edit daily-report/);
  } finally {
    await session.close();
  }
});

test('empty views say what would be there', {timeout: 300000}, async () => {
  const session = await start({open: true, amount: 0, prepare: (world) => {
    for (const one of [world.jobs, world.totals, world.limits, world.schedules]) one.clear();
    for (const one of [world.alerts, world.rules, world.workers, world.nodes]) one.length = 0;
  }});
  try {
    await session.page.goto(session.server.url);
    await each(session, async (name) => {
      if (['job', 'schedule', 'edit'].includes(name)) return;
      await session.picture(`empty-${name}`);
      if (['jobs', 'dead', 'queues', 'schedules', 'workers', 'failures', 'alerts', 'overview'].includes(name)) assert.ok(await session.page.locator('.empty').count() > 0, name);
    });
    assert.deepEqual(session.faults, []);
  } finally {
    await session.close();
  }
});

test('the first paint is soon, and 500 rows are refreshed without a pause that one notices', {timeout: 300000}, async () => {
  const session = await start({open: true, amount: 900});
  const {page} = session;
  try {
    await page.goto(`${session.server.url}#/jobs?limit=500`);
    await page.locator('tbody tr').nth(499).waitFor();
    const paint = await page.evaluate(() => Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime));
    const transferred = await page.evaluate(() => performance.getEntriesByType('resource').filter((one) => !one.name.includes('/api/')).reduce((sum, one) => sum + one.transferSize, performance.getEntriesByType('navigation')[0].transferSize));
    await page.evaluate(() => {
      window.tasks = [];
      new PerformanceObserver((list) => list.getEntries().forEach((one) => window.tasks.push(Math.round(one.duration)))).observe({type: 'longtask'});
    });
    for (let n = 0; n < 30; n += 1) {
      session.world.add({kind: 'mail.send', queue: 'mail', payload: null});
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const longest = Math.max(0, ...await page.evaluate(() => window.tasks));
    console.log(`# first paint ${paint} ms, ${transferred} bytes; longest task of a refresh of 500 rows ${longest} ms`);
    assert.ok(paint > 0);
  } finally {
    await session.close();
  }
});
