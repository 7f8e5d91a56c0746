// What the tests of the dashboard share: a browser, the stand-in server, and a page that notes whatever goes wrong in it.

import {existsSync, mkdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

import {makeWorld, serve} from './stand_in.mjs';

const need = (name) => process.env[name] || (() => { throw new Error(`${name} is not set: start tests/http/dashboard/run`); })();
const {chromium} = createRequire(`${need('QUERN_DASHBOARD_MODULES')}/`)('playwright-core');
const pictures = join(need('QUERN_DASHBOARD_BUILD'), 'screenshots');
mkdirSync(pictures, {recursive: true});

let browser = null;
export async function open() {
  browser ||= await chromium.launch({
    executablePath: need('QUERN_CHROMIUM'),
    // Nobody can have a sandbox as root in a container.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  return browser;
}
export const closeAll = async () => {
  await browser?.close();
  browser = null;
};

export const views = {
  overview: '#/', jobs: '#/jobs', dead: '#/dead', queues: '#/queues', schedules: '#/schedules', 'new-schedule': '#/new-schedule', workers: '#/workers', failures: '#/failures',
  alerts: '#/alerts', audit: '#/audit', settings: '#/settings',
};

// start({quiet, open, key, viewport, colorScheme}) -> {page, world, faults, go, ...}: a page of its own on a server of its own.
export async function start({quiet = true, open: isOpen = false, key = 'demo-key', viewport = {width: 1360, height: 900}, colorScheme = 'light', amount, url, prepare, change} = {}) {
  const world = url ? null : makeWorld({quiet, amount});
  prepare?.(world);
  const server = url ? {url, close: async () => {}} : await serve({world, open: isOpen, change});
  const context = await (await open()).newContext({viewport, colorScheme, locale: 'en-GB', timezoneId: 'Europe/Berlin'});
  const page = await context.newPage();
  // For a small and busy machine; nothing here goes by how long something took.
  page.setDefaultTimeout(90000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  // The browser reports an answer of 4xx as an error of its own; what is refused is for the tests to say.
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url)) faults.push(`request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
  });
  const session = {
    page, world, server, faults, context,
    violations: () => page.evaluate(() => window.violations),
    async signIn(with_ = key) {
      await page.goto(server.url);
      if (isOpen) return;
      await page.getByLabel('API key').fill(with_);
      await page.getByRole('button', {name: 'Sign in'}).click();
      await page.getByRole('heading', {level: 1, name: 'Overview'}).waitFor();
    },
    async go(hash, heading) {
      await page.evaluate((to) => (location.hash = to), hash);
      await page.locator('#view h1', {hasText: heading}).first().waitFor();
      await page.waitForFunction(() => !document.querySelector('#view .loading'));
    },
    dialog: () => page.locator('dialog[open]'),
    picture: (name) => page.screenshot({path: join(pictures, `${name}.png`), fullPage: true}),
    async close() {
      clearInterval(world?.timer);
      await context.close();
      await server.close();
    },
  };
  return session;
}

export const pictureExists = (name) => existsSync(join(pictures, `${name}.png`));

export async function until(what, say, ms = 90000) {
  const end = Date.now() + ms;
  for (;;) {
    if (await what()) return;
    if (Date.now() > end) throw new Error(`did not happen: ${say}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}
