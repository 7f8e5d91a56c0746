// What needs no browser: the parser of events, waits, addresses and words for numbers.

import assert from 'node:assert/strict';
import {test} from 'node:test';

globalThis.document = {baseURI: 'http://localhost/some/path/'};
globalThis.sessionStorage = {getItem: () => null, setItem() {}, removeItem() {}};
const at = '../../../src/http/dashboard/';
const {parser, backoff} = await import(`${at}events.js`);
const {parse, link} = await import(`${at}router.js`);
const {address, at: path, get, Refused, Unreachable} = await import(`${at}api.js`);
const format = await import(`${at}format.js`);
const {ceiling} = await import(`${at}chart.js`);

const read = (...pieces) => {
  const events = [];
  const feed = parser((event) => events.push(event));
  pieces.forEach(feed);
  return events;
};

test('events are read whatever pieces they come in', () => {
  const stream = ': hello\n\nid: 7\nevent: job.completed\ndata: {"job":"1"}\n\nevent: gap\r\ndata: a\r\ndata:  b\r\n\r\ndata: last\r\rdata: not over';
  const whole = read(stream);
  assert.deepEqual(whole, [
    {type: 'job.completed', data: '{"job":"1"}', id: '7'},
    {type: 'gap', data: 'a\n b', id: '7'},
    {type: 'message', data: 'last', id: '7'},
  ]);
  assert.deepEqual(read(...stream), whole);
  for (let i = 1; i < stream.length; i += 1) assert.deepEqual(read(stream.slice(0, i), stream.slice(i)), whole);
});

test('an event without data is none, and fields that nobody knows are passed over', () => {
  assert.deepEqual(read('event: x\n\nfoo: bar\ndata\n\n'), [{type: 'message', data: '', id: ''}]);
  assert.deepEqual(read('id: a\0b\ndata: 1\n\n'), [{type: 'message', data: '1', id: ''}]);
});

test('the server may say how long to wait at least', () => {
  let told = 0;
  parser(() => {}, (ms) => (told = ms))('retry: 2500\n\nretry: soon\n\n');
  assert.equal(told, 2500);
});

test('waits between tries grow up to half a minute, and differ', () => {
  assert.equal(backoff(0, 1), 1000);
  assert.equal(backoff(0, 0), 500);
  assert.equal(backoff(3, 1), 8000);
  assert.equal(backoff(50, 1), 30000);
  assert.ok(new Set(Array.from({length: 20}, () => backoff(2))).size > 10);
});

test('an address says its view again, whatever stands in it', () => {
  for (const name of ['17', 'a/b', 'a b?c#d', '100%', '\u00e4', '<script>', '..']) {
    const {parts, query} = parse(link(['queues', name], {state: 'dead', tag: name, empty: ''}));
    assert.deepEqual(parts, ['queues', name]);
    assert.deepEqual(query, {state: 'dead', tag: name});
  }
  assert.deepEqual(parse('#/%E0%A4'), {parts: ['%E0%A4'], query: {}});
  assert.deepEqual(parse(''), {parts: [], query: {}});
});

test('requests go to the API beside the page, and a value stays one part of the path', () => {
  assert.equal(address(path`queues/${'a/../b'}/pause`).href, 'http://localhost/some/path/api/queues/a%2F..%2Fb/pause');
  assert.equal(address('jobs', {queue: 'a&b', after: null, state: ''}).href, 'http://localhost/some/path/api/jobs?queue=a%26b');
});

test('an answer that breaks off is none, and one that is no JSON is a refusal all the same', async () => {
  const {fetch} = globalThis;
  try {
    globalThis.fetch = async () => ({ok: true, status: 200, text: () => Promise.reject(new DOMException('signal timed out', 'TimeoutError'))});
    await assert.rejects(get('jobs'), Unreachable);
    globalThis.fetch = async () => ({ok: false, status: 502, text: async () => '<h1>Bad gateway</h1>'});
    await assert.rejects(get('jobs'), (error) => error instanceof Refused && error.status === 502 && error.message === 'The server answered 502.');
  } finally {
    globalThis.fetch = fetch;
  }
});

test('durations, numbers and times are written for people', () => {
  const cases = [[0, '0 s'], [0.0000123, '12 \u00b5s'], [0.0123, '12.3 ms'], [0.9996, '1000 ms'], [1, '1 s'], [59.94, '59.9 s'], [75, '1 min 15 s'], [3600, '1 h'], [5400, '1 h 30 min'], [90000, '1 d 1 h'], [-75, '-1 min 15 s'], [NaN, '\u2013']];
  for (const [value, text] of cases) assert.equal(format.seconds(value), text);
  assert.equal(format.count(1234567), '1,234,567');
  assert.equal(format.compact(123456), '123.5K');
  assert.equal(format.percent(0.1234), '12.3 %');
  assert.equal(format.percent(NaN), '\u2013');
  assert.equal(format.plural(1, 'job'), '1 job');
  assert.equal(format.plural(2, 'job'), '2 jobs');
  const now = Date.parse('2026-01-31T12:00:00Z');
  assert.equal(format.relative(now - 90000, now), '1 min ago');
  assert.equal(format.relative(now + 7200000, now), 'in 2 h');
  assert.equal(format.relative(now + 300, now), 'now');
});

test('the axis of a chart ends at a round number above all values', () => {
  assert.deepEqual([0, 0.3, 1, 1.01, 2.2, 7, 11, 480, 12345].map(ceiling), [1, 0.5, 1, 2, 2.5, 10, 20, 500, 20000]);
});
