// What goes on for longer than a click: bulk jobs of the server, and actions on the jobs that were selected. Stays while views change.

import {at, get, post} from './api.js';
import {fill, h} from './dom.js';
import {count, plural} from './format.js';
import {link} from './router.js';
import {may} from './session.js';
import {button, describe, ended, progress, small} from './ui.js';

let done = () => {};
export const onBulkDone = (then) => (done = then);

function card(title) {
  const node = h('div.work');
  document.getElementById('dock').append(node);
  const close = () => node.remove();
  return {
    close,
    draw: (...children) => fill(node, h('strong', title), children),
    gone: () => !node.isConnected,
  };
}

// Follows the job that the server started for a bulk operation to its end.
export function followBulk(id, title) {
  const work = card(title);
  const hide = () => button('Hide', work.close, {tone: 'quiet small'});
  let tries = 0;
  const look = async () => {
    if (work.gone()) return;
    try {
      const job = await get(at`jobs/${id}`);
      tries = 0;
      const page = h('a', {href: link(['jobs', id])}, `job ${id}`);
      if (ended(job.state)) {
        const {matched, changed} = job.result || {};
        const text = job.state === 'completed'
          ? `Done: ${Number.isFinite(changed) ? `${count(changed)} of ${count(matched)} changed` : 'completed'}.`
          : `It ended as ${job.state}. ${job.last_error?.message || job.end_message || ''}`;
        work.draw(h('span', {role: 'status'}, text), page, hide());
        done();
        setTimeout(() => job.state === 'completed' && work.close(), 20000);
        return;
      }
      work.draw(progress(job.progress?.percent, title), h('span.dim.clip', job.progress?.message || job.state), page,
        may('jobs.manage') ? small('Stop', `Stop: ${title}`, () => post(at`jobs/${id}/cancel`).catch(() => {})) : null, hide());
      done();
    } catch (error) {
      tries += 1;
      work.draw(h('span.fault', describe(error)), hide());
      if (error.status === 404 || error.status === 403 || error.status === 401) return;
    }
    setTimeout(look, Math.min(1000 * 2 ** tries, 15000));
  };
  work.draw(progress(0, title), hide());
  look();
}

// One request for each job that was selected, a few at a time; `act` gives a promise.
export async function each(ids, title, act) {
  const work = card(title);
  const faults = [];
  let next = 0;
  let finished = 0;
  let stopped = false;
  const draw = () => work.draw(progress((finished / ids.length) * 100, title), h('span.dim', `${count(finished)} of ${count(ids.length)}`),
    small('Stop', `Stop: ${title}`, () => (stopped = true)));
  const lane = async () => {
    while (next < ids.length && !stopped) {
      const id = ids[next];
      next += 1;
      try {
        await act(id);
      } catch (error) {
        if (error.status === 401) return;
        faults.push(`${id}: ${describe(error)}`);
      }
      finished += 1;
      draw();
    }
  };
  draw();
  await Promise.all([lane(), lane(), lane(), lane()]);
  const good = finished - faults.length;
  work.draw(h('span', {role: 'status'}, `Done: ${plural(good, 'job')} changed${faults.length ? `, ${count(faults.length)} refused` : ''}.`),
    faults.length ? h('details', h('summary', 'Why'), h('ul', faults.slice(0, 100).map((one) => h('li', one)))) : null,
    button('Hide', work.close, {tone: 'quiet small'}));
  if (!faults.length) setTimeout(work.close, 8000);
  done();
}
