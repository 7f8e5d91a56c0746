// Every view against a real server, if there is one: QUERN_DASHBOARD_URL, and QUERN_DASHBOARD_KEY where it asks for a key.

import assert from 'node:assert/strict';
import {after, test} from 'node:test';

import {closeAll, start, views} from './support.mjs';

after(closeAll);

const url = process.env.QUERN_DASHBOARD_URL;

test('every view works with a real server', {skip: url ? false : 'no server was named', timeout: 300000}, async () => {
  const session = await start({url: url.endsWith('/') ? url : `${url}/`});
  const {page, faults} = session;
  const refused = [];
  page.on('response', (response) => response.status() >= 400 && refused.push(`${response.status()} ${response.url()}`));
  try {
    await page.goto(session.server.url);
    await page.locator('#door input, #view h1').first().waitFor();
    if (await page.locator('#door input').count()) {
      refused.length = 0;
      await page.getByLabel('API key').fill(process.env.QUERN_DASHBOARD_KEY || '');
      await page.getByRole('button', {name: 'Sign in'}).click();
    }
    await page.locator('#view h1').waitFor();
    await page.getByText('Live', {exact: true}).waitFor();
    // Of those that the key may see.
    const shown = await page.locator('#nav a').evaluateAll((links) => links.map((one) => one.getAttribute('href')));
    assert.ok(shown.length > 3);
    for (const [name, hash] of Object.entries(views)) {
      if (!shown.includes(hash) && name !== 'new-schedule') continue;
      await page.evaluate((to) => (location.hash = to), hash);
      await page.waitForFunction(() => !document.querySelector('#view .loading') && document.querySelector('#view h1'));
      await page.waitForTimeout(name === 'overview' ? 4500 : 600);
      await session.picture(`real-${name}`);
      assert.equal(await page.getByText('This could not be loaded').count(), 0, name);
    }
    await page.evaluate(() => (location.hash = '#/jobs'));
    const link = page.locator('tbody th a').first();
    if (await link.waitFor({timeout: 300000}).then(() => true, () => false)) {
      await link.click();
      await page.getByRole('heading', {level: 1, name: /^Job \d+/}).waitFor();
      await session.picture('real-job');
    }
    assert.deepEqual(refused, []);
    assert.deepEqual(faults, []);
    assert.deepEqual(await session.violations(), []);
  } finally {
    await session.close();
  }
});
