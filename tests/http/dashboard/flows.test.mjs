// What people do with the dashboard, in a real browser against the stand-in server.

import assert from 'node:assert/strict';
import {after, test} from 'node:test';

import {closeAll, start, until} from './support.mjs';

after(closeAll);

// Each on a page and a server of its own; nothing may go wrong in the page meanwhile.
function flow(title, options, run) {
  test(title, {timeout: 300000}, async () => {
    const session = await start(options);
    try {
      await run(session, session.page);
      assert.deepEqual(session.faults, []);
      assert.deepEqual(await session.violations(), []);
    } finally {
      await session.close();
    }
  });
}

const newest = (world) => [...world.jobs.values()].at(-1);

flow('a key lets one in, a wrong one is told so, and it goes with the tab', {}, async ({page, server, context}) => {
  await page.goto(`${server.url}#/queues`);
  await page.getByLabel('API key').fill('wrong');
  await page.getByRole('button', {name: 'Sign in'}).click();
  await page.getByText('This key is not known here').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.getByLabel('API key').fill('demo-key');
  await page.keyboard.press('Enter');
  // To where one wanted to go.
  await page.getByRole('heading', {level: 1, name: 'Queues'}).waitFor();
  await page.getByText('alice@example.org').waitFor();
  await page.reload();
  await page.getByRole('heading', {level: 1, name: 'Queues'}).waitFor();
  assert.equal(await page.evaluate(() => localStorage.getItem('quern.key')), null);
  const other = await context.newPage();
  await other.goto(server.url);
  await other.getByLabel('API key').waitFor();
  await other.close();
  await page.getByRole('button', {name: 'Sign out'}).click();
  await page.getByLabel('API key').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

flow('an open server asks for no key', {open: true}, async ({page, server}) => {
  await page.goto(server.url);
  await page.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
  assert.equal(await page.getByLabel('API key').count(), 0);
});

flow('a key that is revoked meanwhile leads back to the sign-in, and then to the same view', {}, async ({page, world, signIn, go}) => {
  await signIn();
  await go('#/workers', 'Workers');
  const user = world.users.get('demo-key');
  world.users.delete('demo-key');
  await page.getByText('You have been signed out').waitFor();
  world.users.set('demo-key', user);
  await page.getByLabel('API key').fill('demo-key');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {level: 1, name: 'Workers'}).waitFor();
});

flow('what one may not do is not offered, and what is refused is said', {}, async ({page, world, signIn, go}) => {
  await signIn('viewer-key');
  assert.equal(await page.getByRole('link', {name: 'Audit'}).count(), 0);
  await go('#/jobs', 'Jobs');
  assert.equal(await page.locator('#view input[type=checkbox]').count(), 0);
  await go('#/jobs/1', 'Job 1');
  assert.equal(await page.getByRole('button', {name: /Retry|Delete|Cancel|Priority|Reschedule/}).count(), 0);
  await go('#/queues', 'Queues');
  assert.equal(await page.getByRole('button', {name: /Pause|Limit|limit/}).count(), 0);
  await go('#/schedules', 'Schedules');
  assert.equal(await page.getByRole('button', {name: /Run|Pause|Delete/}).count(), 0);
  await go('#/audit', 'Audit');
  await page.getByRole('heading', {name: 'You may not see this'}).waitFor();
  await go('#/new-schedule', 'New schedule');
  await page.getByRole('heading', {name: 'You may not change schedules'}).waitFor();
  // The page believes that one may, and the server does not.
  await go('#/settings', 'Settings');
  await page.getByRole('button', {name: 'Sign out'}).click();
  await signIn();
  await go('#/queues', 'Queues');
  world.users.get('demo-key').permissions = world.users.get('demo-key').permissions.filter((one) => one !== 'queues.manage');
  await page.getByRole('button', {name: 'Pause mail'}).click();
  await page.getByText('You may not do this').waitFor();
});

flow('who sees only some tenants gets the views that are for them, without the numbers of all', {}, async ({page, server, go}) => {
  await page.goto(server.url);
  await page.getByLabel('API key').fill('acme-key');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {level: 1, name: 'Jobs'}).waitFor();
  await page.locator('tbody tr').first().waitFor();
  assert.deepEqual([...new Set(await page.locator('[data-label=Tenant]').allTextContents())], ['acme']);
  assert.equal(await page.locator('.tabs .n').count(), 0);
  assert.deepEqual(await page.locator('#nav a').allTextContents(), ['Jobs', 'Schedules', 'Dead letters', 'Settings']);
  await go('#/workers', 'Workers');
  await page.getByRole('heading', {name: 'You may not see this'}).waitFor();
});

flow('a job is watched from ready to completed, in the same nodes of the page', {}, async ({page, world, signIn, go}) => {
  await signIn();
  const job = world.add({kind: 'watched', queue: 'mail', payload: {n: 1}});
  await go('#/jobs?kind=watched', 'Jobs');
  const row = page.locator('tbody tr');
  await row.getByText('ready', {exact: true}).waitFor();
  await row.evaluate((node) => (node.mark = 'same'));
  world.start(job);
  await row.getByText('running', {exact: true}).waitFor();
  world.progress(job, 40, 'page 2 of 5');
  await row.getByText('page 2 of 5').waitFor();
  await row.getByText('40 %').waitFor();
  assert.equal(await row.evaluate((node) => node.mark), 'same');

  await row.getByRole('link', {name: job.id}).click();
  await page.getByRole('heading', {level: 1, name: `Job ${job.id}`}).waitFor();
  world.progress(job, 80, 'page 4 of 5');
  await page.locator('.live').getByText('page 4 of 5').waitFor();
  world.complete(job, {pages: 5});
  await page.locator('h1').getByText('completed').waitFor();
  await page.getByText('"pages": 5').waitFor();
  await page.goBack();
  await page.getByRole('heading', {level: 1, name: 'Jobs'}).waitFor();
  assert.match(page.url(), /kind=watched/);
});

flow('a job tells of its attempts, and why it does not run', {}, async ({page, world, signIn, go}) => {
  await signIn();
  const job = world.add({kind: 'stubborn', queue: 'mail', max_attempts: 2, payload: {}});
  world.start(job);
  world.fail(job, 'first try went wrong');
  await go(`#/jobs/${job.id}`, 'Job');
  await page.getByText('Why it is not running').waitFor();
  await page.getByText('An attempt failed; the next one waits for its time.').waitFor();
  await page.locator('.timeline').getByText('Attempt 1 failed').waitFor();
  world.start(job);
  world.fail(job, 'second try went wrong');
  await page.locator('.timeline').getByText('Dead', {exact: true}).waitFor();
  await page.getByRole('button', {name: 'Retry'}).click();
  await page.locator('h1').getByText('ready').waitFor();
  assert.equal(job.state, 'ready');
});

flow('a running job is cancelled, and one that waits is put off and made more urgent', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  const job = world.add({kind: 'long', queue: 'reports', payload: null});
  world.start(job);
  await go(`#/jobs/${job.id}`, 'Job');
  await page.getByRole('button', {name: 'Cancel'}).click();
  await dialog().getByRole('button', {name: 'Cancel the job'}).click();
  await page.getByText('cancel requested').waitFor();
  world.cancel(job);
  await page.locator('h1').getByText('cancelled').waitFor();

  const waiting = world.add({kind: 'later', queue: 'reports', payload: null});
  await go(`#/jobs/${waiting.id}`, `Job ${waiting.id}`);
  await page.getByRole('button', {name: 'Reschedule'}).click();
  await dialog().getByLabel('In').fill('soon');
  await dialog().getByRole('button', {name: 'Reschedule'}).click();
  await dialog().getByText('is no duration').waitFor();
  await dialog().getByLabel('In').fill('2h');
  await dialog().getByRole('button', {name: 'Reschedule'}).click();
  await page.locator('h1').getByText('scheduled').waitFor();
  await page.getByRole('button', {name: 'Priority'}).click();
  await dialog().getByLabel('Priority').fill('2');
  await page.keyboard.press('Enter');
  await until(() => waiting.priority === 2, 'the priority is 2');
  await page.getByRole('button', {name: 'Delete'}).click();
  await dialog().getByRole('button', {name: 'Delete'}).click();
  await page.getByRole('heading', {level: 1, name: 'Jobs'}).waitFor();
  assert.equal(world.jobs.has(waiting.id), false);
});

flow('jobs are selected by hand and with Shift, and retried', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/jobs?state=dead', 'Jobs');
  const boxes = page.locator('tbody input[type=checkbox]');
  await boxes.nth(0).click();
  await boxes.nth(3).click({modifiers: ['Shift']});
  await page.getByText('4 jobs selected').waitFor();
  const ids = await page.locator('tbody tr').evaluateAll((rows) => rows.slice(0, 4).map((row) => row.querySelector('a').textContent));
  await page.getByRole('button', {name: 'Retry'}).click();
  await dialog().getByRole('button', {name: 'Retry'}).click();
  await page.getByText('Done: 4 jobs changed.').waitFor();
  for (const id of ids) assert.notEqual(world.jobs.get(id).state, 'dead');
});

flow('all dead jobs of a queue are retried at once, and their progress is shown', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  const dead = () => [...world.jobs.values()].filter((job) => job.queue === 'mail' && job.state === 'dead').length;
  const many = dead();
  assert.ok(many > 5);
  await go('#/jobs?state=dead&queue=mail', 'Jobs');
  await page.getByRole('button', {name: 'Select all that match'}).click();
  await page.getByText(`all ${many} jobs that match`, {exact: true}).waitFor();
  await page.getByRole('button', {name: 'Retry'}).click();
  await dialog().getByText('state dead, queue mail').waitFor();
  await dialog().getByRole('button', {name: 'Retry'}).click();
  await page.locator('#dock progress').waitFor();
  await page.locator('#dock').getByText(`Done: ${many} of ${many} changed.`).waitFor();
  assert.equal(dead(), 0);
  const asked = world.requests.find((one) => one.path === '/api/jobs/bulk');
  assert.deepEqual(asked.body, {action: 'retry', filter: {queue: 'mail', states: ['dead']}});
});

flow('dead letters are redriven and purged', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/dead?kind=mail.send', 'Dead letters');
  await page.getByRole('button', {name: 'Select all that match'}).click();
  await page.getByRole('button', {name: 'Redrive'}).click();
  await dialog().getByRole('button', {name: 'Redrive'}).click();
  await page.locator('#dock').getByText(/Done: \d+ of \d+ changed/).waitFor();
  await page.getByText('No job matches').waitFor();
  await go('#/dead', 'Dead letters');
  await page.getByRole('button', {name: 'Select all that match'}).click();
  await page.getByRole('button', {name: 'Purge'}).click();
  await dialog().getByRole('button', {name: 'Purge'}).click();
  await page.getByText('No dead letters').waitFor();
  assert.equal([...world.jobs.values()].filter((job) => job.state === 'dead').length, 0);
});

flow('pages of jobs are turned, filtered and found again', {}, async ({page, signIn, go}) => {
  await signIn();
  await go('#/jobs', 'Jobs');
  const first = () => page.locator('tbody tr').first().locator('a').first().textContent();
  const top = await first();
  await page.getByRole('link', {name: 'Next page'}).click();
  await until(async () => (await first()) !== top, 'another page');
  assert.match(page.url(), /after=\d+/);
  await page.getByRole('link', {name: 'First page'}).click();
  await until(async () => (await first()) === top, 'the first page');
  await page.getByLabel('Queue', {exact: true}).fill('billing');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => [...document.querySelectorAll('tbody [data-label=Queue]')].every((cell) => cell.textContent === 'billing'));
  await page.locator('.tabs').getByRole('link', {name: /completed/}).click();
  await page.waitForURL(/state=completed/);
  assert.match(page.url(), /queue=billing/);
  await page.getByRole('link', {name: 'Clear'}).click();
  assert.equal(await page.getByLabel('Queue', {exact: true}).inputValue(), '');
  await page.getByLabel('Job id').fill('3');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {level: 1, name: 'Job 3'}).waitFor();
  await go('#/jobs/99999', 'Job 99999');
  await page.getByRole('heading', {name: 'There is nothing of that name'}).waitFor();
});

flow('rows stay where they are under the pointer', {}, async ({page, world, signIn, go}) => {
  await signIn();
  await go('#/jobs', 'Jobs');
  const first = () => page.locator('tbody tr').first().locator('a').first().textContent();
  const before = await first();
  await page.locator('tbody tr').nth(2).hover();
  world.add({kind: 'mail.send', queue: 'mail', payload: null});
  await page.getByRole('button', {name: 'Show 1 new job'}).waitFor();
  assert.equal(await first(), before);
  await page.mouse.move(5, 5);
  await until(async () => (await first()) === newest(world).id, 'the new job is first');
});

flow('a queue is paused and resumed, and its length limited', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/queues', 'Queues');
  await page.getByRole('button', {name: 'Pause mail'}).click();
  await page.getByRole('button', {name: 'Resume mail'}).waitFor();
  assert.ok(world.paused.has('mail'));
  await page.getByRole('button', {name: 'Resume mail'}).click();
  await page.getByRole('button', {name: 'Pause mail'}).waitFor();
  await page.getByRole('button', {name: 'Limit mail'}).click();
  await dialog().getByLabel('Most waiting').fill('250');
  await page.keyboard.press('Enter');
  await page.locator('tr', {hasText: 'mail'}).getByText('250').waitFor();
  await page.getByRole('button', {name: 'Add a limit'}).click();
  await dialog().getByLabel('Name').fill('few reports');
  await dialog().getByLabel('Queue').fill('reports');
  await dialog().getByLabel('Starts').fill('10');
  await dialog().getByLabel('per').fill('1m');
  await dialog().getByRole('button', {name: 'Save'}).click();
  await page.getByText('10 per 1m').waitFor();
  assert.deepEqual(world.requests.at(-1), {method: 'PUT', path: '/api/limits/few%20reports', body: {queue: 'reports', rate: {count: 10, per: '1m'}}});
});

flow('a schedule is written with its times in sight, created, triggered, paused and deleted', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/schedules', 'Schedules');
  await page.getByRole('link', {name: 'New schedule'}).click();
  await page.getByLabel('Name').fill('every/quarter');
  await page.getByLabel('Kind').fill('report.build');
  await page.getByLabel('Cron', {exact: true}).fill('0 9');
  await page.getByText('has too few fields').waitFor();
  await page.getByLabel('Interval').check();
  await page.getByLabel('Every').fill('15m');
  await page.locator('.preview').getByText('every 15m').waitFor();
  assert.equal(await page.locator('.preview .times li').count(), 10);
  await page.getByLabel('Payload').fill('{"scope":');
  await page.getByRole('button', {name: 'Create'}).click();
  await page.locator('form > div > .fault').getByText('The payload is not JSON').waitFor();
  await page.getByLabel('Payload').fill('{"scope": "all"}');
  await page.getByRole('button', {name: 'Create'}).click();
  await page.getByRole('heading', {level: 1, name: 'every/quarter'}).waitFor();
  const made = world.schedules.get('every/quarter');
  assert.equal(made.timing.every, '15m');
  assert.equal(made.timing.cron, undefined);
  assert.deepEqual(made.payload, {scope: 'all'});
  await page.getByRole('button', {name: 'Run every/quarter now'}).click();
  await dialog().getByRole('button', {name: 'Run now'}).click();
  await page.getByRole('heading', {level: 1, name: `Job ${newest(world).id}`}).waitFor();
  await go('#/schedules/every%2Fquarter', 'every/quarter');
  await page.locator('section', {hasText: 'History'}).getByRole('link', {name: newest(world).id}).waitFor();
  await page.getByRole('button', {name: 'Pause every/quarter'}).click();
  await page.locator('h1').getByText('paused').waitFor();
  await page.getByRole('link', {name: 'Edit every/quarter'}).click();
  await page.getByLabel('Every').fill('30m');
  await page.getByRole('button', {name: 'Save'}).click();
  await until(() => world.schedules.get('every/quarter').timing.every === '30m', 'the interval is changed');
  await page.getByRole('button', {name: 'Delete every/quarter'}).click();
  await dialog().getByRole('button', {name: 'Delete'}).click();
  await page.getByRole('heading', {level: 1, name: 'Schedules'}).waitFor();
  assert.equal(world.schedules.has('every/quarter'), false);
});

flow('the night on which the clocks shift is marked among the times of a schedule', {}, async ({page, signIn, go}) => {
  await signIn();
  await go('#/schedules/daily-report', 'daily-report');
  await page.locator('.times').getByText('clocks shift').waitFor();
  assert.equal(await page.locator('.times').getByText('clocks shift').count(), 1);
});

flow('an alert is acknowledged, and the silence ended', {}, async ({page, world, signIn, dialog}) => {
  await signIn();
  await page.getByRole('link', {name: '2 alerts are firing'}).click();
  await page.getByRole('button', {name: 'Acknowledge queue_too_long mail'}).click();
  await dialog().getByLabel('Reason').fill('looking into it');
  await dialog().getByRole('button', {name: 'Acknowledge'}).click();
  await page.getByText('silenced', {exact: true}).waitFor();
  await page.getByText('looking into it').waitFor();
  assert.deepEqual([...world.silences.values()][0].match, {rule: 'queue_too_long', queue: 'mail', kind: ''});
  await page.getByRole('button', {name: 'End the silence of queue_too_long'}).click();
  await page.getByRole('button', {name: 'Acknowledge queue_too_long mail'}).waitFor();
  assert.equal(world.silences.size, 0);
});

flow('failures are shown by their reason, and their dead jobs retried', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/failures', 'Failures');
  const group = page.locator('.groups > li', {hasText: 'gateway timed out'});
  await group.getByText(/examples/).click();
  await group.getByRole('link', {name: /job \d+/}).first().waitFor();
  await group.getByRole('button', {name: /Retry dead/}).click();
  await dialog().getByRole('button', {name: 'Retry dead'}).click();
  await page.locator('#dock').getByText(/Done: \d+ of \d+ changed/).waitFor();
  assert.equal([...world.jobs.values()].filter((job) => job.kind === 'invoice.charge' && job.state === 'dead').length, 0);
});

flow('a worker is disabled, enabled and resized', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/workers', 'Workers');
  await page.getByRole('button', {name: 'disable worker-1'}).click();
  await page.getByRole('button', {name: 'enable worker-1'}).click();
  await page.getByRole('button', {name: 'disable worker-1'}).waitFor();
  await page.getByRole('button', {name: 'Resize worker-1'}).click();
  await dialog().getByLabel('Jobs at once').fill('9');
  await page.keyboard.press('Enter');
  await page.locator('tr', {hasText: 'worker-1'}).getByText('/ 9').waitFor();
  assert.equal(world.workers[0].max_jobs, 9);
});

flow('a key is made, its secret shown once, and revoked', {}, async ({page, world, signIn, go, dialog}) => {
  await signIn();
  await go('#/settings', 'Settings');
  await page.getByRole('button', {name: 'New key'}).click();
  await dialog().getByLabel('Name').fill('ci');
  await dialog().getByLabel('Role').selectOption('operator');
  await dialog().getByLabel('Queues').fill('mail reports');
  await dialog().getByRole('button', {name: 'Create'}).click();
  await dialog().getByText(/^qk_/).waitFor();
  await dialog().getByRole('button', {name: 'Close'}).click();
  await page.getByText(/qk_/).waitFor({state: 'detached'});
  await page.locator('tr', {hasText: 'ci'}).getByText('queues mail, reports').waitFor();
  await page.getByRole('button', {name: 'Revoke ci'}).click();
  await dialog().getByRole('button', {name: 'Revoke'}).click();
  await page.locator('tr', {hasText: 'ci'}).getByText('revoked').waitFor();
  assert.equal([...world.keys.values()].at(-1).revoked, true);
  await go('#/audit', 'Audit');
  await page.getByText('POST /api/keys', {exact: true}).first().waitFor();
  await page.locator('tr', {hasText: 'jobs.delete'}).getByText('403').waitFor();
});

flow('a lost connection is told, and what was missed is made up for', {}, async ({page, world, server, signIn, go}) => {
  await signIn();
  const job = world.add({kind: 'missed', queue: 'mail', payload: null});
  await go('#/jobs?kind=missed', 'Jobs');
  await page.getByText('Live', {exact: true}).waitFor();
  const headers = [];
  page.on('request', (request) => request.url().includes('/api/events') && headers.push(request.headers()));
  world.start(job);
  await page.locator('tbody').getByText('running', {exact: true}).waitFor();
  await server.close();
  await page.getByText('The connection to the server is lost').waitFor();
  await page.locator('tbody').getByText('running', {exact: true}).waitFor();
  world.complete(job);
  const {serve} = await import('./stand_in.mjs');
  const again = await serve({world, port: server.port});
  try {
    await page.getByRole('button', {name: 'Try now'}).click();
    await page.getByText('Live', {exact: true}).waitFor();
    await page.locator('tbody').getByText('completed', {exact: true}).waitFor();
    assert.equal(await page.getByText('The connection to the server is lost').count(), 0);
    assert.match(headers.at(-1)['last-event-id'] || '', /^\d+$/);
    assert.equal(headers.at(-1).authorization, 'Bearer demo-key');
  } finally {
    await again.close();
  }
});

flow('many events a second ask the server about once a second', {}, async ({page, world, signIn, go}) => {
  await signIn();
  await go('#/jobs', 'Jobs');
  await page.getByText('Live', {exact: true}).waitFor();
  let asked = 0;
  page.on('request', (request) => (asked += /\/api\/jobs\?/.test(request.url()) ? 1 : 0));
  const began = Date.now();
  while (Date.now() - began < 3000) {
    world.add({kind: 'flood', queue: 'mail', payload: null});
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(asked >= 1 && asked <= 5, `${asked} requests in three seconds`);
});

flow('nothing is asked for while the tab is hidden', {quiet: false}, async ({page, signIn, go}) => {
  await signIn();
  await go('#/jobs', 'Jobs');
  const hide = (hidden) => page.evaluate((is) => {
    Object.defineProperty(document, 'hidden', {value: is, configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await page.waitForLoadState('networkidle');
  let asked = 0;
  page.on('request', () => (asked += 1));
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal(asked, 0);
  await hide(false);
  await until(() => asked >= 2, 'it asks again');
});

flow('all is done with the keyboard alone', {}, async ({page, signIn, go, dialog}) => {
  await signIn();
  const heading = (name) => page.getByRole('heading', {level: 1, name}).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press('g');
  await page.keyboard.press('j');
  await heading('Jobs');
  await page.locator('tbody tr').first().waitFor();
  await page.keyboard.press('j');
  const rows = await page.locator('tbody tr th a').allTextContents();
  assert.equal(await focused(), rows[0]);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  assert.equal(await focused(), rows[1]);
  await page.keyboard.press('x');
  await page.getByText('1 job selected').waitFor();
  assert.equal(await focused(), rows[1]);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'id');
  // While one types, letters are letters.
  await page.keyboard.type('gq?');
  await heading('Jobs');
  assert.equal(await page.getByLabel('Job id').inputValue(), 'gq?');
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await heading(/^Job \d+/);
  await page.keyboard.press('g');
  await page.keyboard.press('q');
  await heading('Queues');
  await page.keyboard.press('?');
  await dialog().getByRole('heading', {name: 'Keyboard shortcuts'}).waitFor();
  await page.keyboard.press('Escape');
  await dialog().waitFor({state: 'detached'});
  // The first stop of the Tab key leads past the navigation.
  await page.evaluate(() => document.activeElement.blur());
  await go('#/workers', 'Workers');
  await page.evaluate(() => document.getElementById('skip').focus());
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  assert.match(page.url(), /#\/workers$/);
});
