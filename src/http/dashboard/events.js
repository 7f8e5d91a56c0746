// Server-sent events by way of fetch(), since EventSource can't send the Authorization header.

import {address, headers} from './api.js';

// Reads the stream's lines; feed it text in pieces of any length.
export function parser(onEvent, onRetry = () => {}) {
  let rest = '';
  let data = [];
  let type = '';
  let id = '';
  let afterReturn = false;
  const line = (text) => {
    if (text === '') {
      if (data.length) onEvent({type: type || 'message', data: data.join('\n'), id});
      data = [];
      type = '';
      return;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    let value = colon < 0 ? '' : text.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (name === 'data') data.push(value);
    else if (name === 'event') type = value;
    else if (name === 'id' && !value.includes('\0')) id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) onRetry(Number(value));
  };
  return (text) => {
    // A line may end with CR, LF or both, and the two may come in two pieces.
    if (afterReturn && text.startsWith('\n')) text = text.slice(1);
    if (text === '') return;
    afterReturn = text.endsWith('\r');
    rest += text;
    const lines = rest.split(/\r\n|\n|\r/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

// How long to wait before the next try: doubled each time, up to half a minute, never the same for all who wait.
export const backoff = (tries, draw = Math.random()) => Math.min(30000, 1000 * 2 ** Math.min(tries, 5)) * (0.5 + draw / 2);

const silence = 60000;

// listen({types, onEvent, onState}) -> {close, retry}. States: "live", "lost" (with when it is tried again), "refused".
export function listen({types, onEvent, onState, lastId = ''}) {
  let closed = false;
  let tries = 0;
  let timer = 0;
  let least = 0;
  let abort = null;

  async function run() {
    clearTimeout(timer);
    abort = new AbortController();
    const own = abort;
    let quiet = 0;
    // A connection that broke without a word looks like one on which nothing happens.
    const heard = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => own.abort(), silence);
    };
    const feed = parser((event) => {
      lastId = event.id || lastId;
      onEvent(event);
    }, (ms) => (least = ms));
    try {
      heard();
      const response = await fetch(address('events', {types: types.join(',')}), {
        headers: headers({Accept: 'text/event-stream', ...(lastId ? {'Last-Event-ID': lastId} : {})}),
        signal: own.signal,
        cache: 'no-store',
      });
      if (response.status === 401 || response.status === 403 || response.status === 404) {
        if (!closed) onState('refused', response.status);
        return;
      }
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      onState('live');
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        tries = 0;
        heard();
        feed(value);
      }
    } catch {
      // Told of below, as an end is.
    } finally {
      clearTimeout(quiet);
    }
    if (closed || own !== abort) return;
    const wait = Math.max(least, backoff(tries));
    tries += 1;
    onState('lost', Date.now() + wait);
    timer = setTimeout(run, wait);
  }

  run();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      abort?.abort();
      return lastId;
    },
    retry() {
      if (closed) return;
      const old = abort;
      abort = null;
      old?.abort();
      run();
    },
  };
}
