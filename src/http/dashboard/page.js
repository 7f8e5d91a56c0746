// Runs one view: loads it, draws it, and refreshes it when events say so, about once a second and never while nobody looks.
//
// A view is {title, load(page), draw(page)} and what it wants beside that: `types` of events, `every` (seconds, since events
// tell only of what the server's own process does), `enter(page)` and `leave(page)`.

import {Refused, Unreachable} from './api.js';
import {fill, h} from './dom.js';
import {empty, spinner} from './ui.js';

const least = 1000;

export class Page {
  constructor(view, parts, query) {
    this.view = view;
    this.parts = parts;
    this.query = query;
    this.data = {};
    this.root = document.getElementById('view');
    this.closed = false;
    this.state = 'loading';
    this.abort = new AbortController();
    this.took = 0;
    this.last = 0;
    this.timer = 0;
    this.wanted = false;
    this.busy = false;
  }

  get signal() {
    return this.abort.signal;
  }

  async open() {
    this.view.enter?.(this);
    this.redraw();
    await this.refresh();
    if (this.closed) return;
    // Whoever listens instead of looking is told where they are.
    const heading = this.root.querySelector('h1');
    if (heading && !this.root.contains(document.activeElement)) {
      heading.tabIndex = -1;
      heading.focus({preventScroll: true});
    }
  }

  // Other filters of the same view: what is shown stays until the answer is there.
  async change(query) {
    this.query = query;
    this.abort.abort();
    this.abort = new AbortController();
    this.busy = false;
    this.view.changed?.(this);
    this.redraw();
    await this.refresh();
  }

  async refresh() {
    clearTimeout(this.timer);
    if (this.closed || this.busy) {
      this.wanted = true;
      return;
    }
    const {signal} = this;
    this.busy = true;
    this.wanted = false;
    const began = performance.now();
    try {
      await this.view.load(this);
      if (signal.aborted) return;
      this.state = 'loaded';
      this.error = null;
    } catch (error) {
      if (signal.aborted || this.closed) return;
      // What is there stays while the server does not answer.
      if (error instanceof Unreachable && this.state === 'loaded') return;
      if (!(error instanceof Refused || error instanceof Unreachable)) console.error(error);
      this.error = error;
      this.state = 'failed';
    } finally {
      if (!signal.aborted) {
        this.busy = false;
        this.took = performance.now() - began;
        this.last = performance.now();
        if (this.wanted) this.soon();
        if (this.view.every) this.later(this.view.every * 1000);
      }
    }
    this.redraw();
  }

  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (document.hidden ? null : this.refresh()), ms);
  }

  // Something has changed. A server that takes long to answer is asked less often.
  soon() {
    if (document.hidden || this.closed) return;
    if (this.busy) {
      this.wanted = true;
      return;
    }
    if (this.due) return;
    this.due = true;
    const wait = Math.max(0, this.last + Math.max(least, 2 * this.took) - performance.now());
    setTimeout(() => {
      this.due = false;
      if (!document.hidden) this.refresh();
    }, wait);
  }

  event(event) {
    if (this.view.event) this.view.event(this, event);
    else this.soon();
  }

  redraw() {
    if (this.closed) return;
    const title = typeof this.view.title === 'function' ? this.view.title(this) : this.view.title;
    document.title = `${title} \u00b7 quern`;
    if (this.state === 'loading') {
      fill(this.root, h('h1', title), spinner());
    } else if (this.error) {
      fill(this.root, h('h1', title), said(this.error, () => this.refresh()));
    } else {
      fill(this.root, this.view.draw(this));
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.abort.abort();
    this.view.leave?.(this);
  }
}

function said(error, again) {
  if (error.status === 403) return empty('You may not see this', `Your key lacks a permission that this view needs. ${error.message}`);
  if (error.status === 404) return empty('There is nothing of that name', `It may have been erased, or be out of your reach. ${error.message}`);
  return empty('This could not be loaded', error.message, h('button', {type: 'button', onclick: again}, 'Try again'));
}
