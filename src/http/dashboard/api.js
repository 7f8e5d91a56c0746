// Speaks to /api: adds the caller's key, and turns problem details into exceptions.

const base = new URL('api/', document.baseURI);
const place = 'quern.key';

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.type = problem.type || '';
    this.faults = Array.isArray(problem.errors) ? problem.errors : [];
  }
}

export class Unreachable extends Error {}

let key = null;
try {
  key = sessionStorage.getItem(place);
} catch {
  key = null;
}
export const hasKey = () => key !== null;
export function setKey(value) {
  key = value || null;
  try {
    if (key) sessionStorage.setItem(place, key);
    else sessionStorage.removeItem(place);
  } catch {
    // Without storage the key lives as long as the page.
  }
}

// at`jobs/${id}/cancel`: each value is one part of the path, whatever is in it.
export const at = (strings, ...values) =>
  strings.reduce((path, text, i) => path + encodeURIComponent(values[i - 1]) + text);

const told = {refused: () => {}, reached: () => {}};
export const onSignedOut = (then) => (told.refused = then);
export const onReached = (then) => (told.reached = then);

export function address(path, query) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(query || {}))
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(name, value);
  return url;
}

export function headers(more) {
  return key ? {...more, Authorization: `Bearer ${key}`} : {...more};
}

export async function send(method, path, {query, body, signal} = {}) {
  const limit = AbortSignal.timeout(30000);
  let response;
  let text;
  try {
    response = await fetch(address(path, query), {
      method,
      headers: headers({Accept: 'application/json', ...(body === undefined ? {} : {'Content-Type': 'application/json'})}),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      credentials: 'same-origin',
      cache: 'no-store',
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    told.reached(false);
    throw new Unreachable('The server does not answer.');
  }
  told.reached(true);
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    json = null;
  }
  if (response.ok) return json;
  const refused = new Refused(response.status, json || {});
  if (response.status === 401) told.refused(refused);
  throw refused;
}

export const get = (path, query, signal) => send('GET', path, {query, signal});
export const post = (path, body) => send('POST', path, {body});
export const put = (path, body) => send('PUT', path, {body});
export const del = (path) => send('DELETE', path);
