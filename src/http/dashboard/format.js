// Numbers, durations and times for people.

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1});
const decimal = new Intl.NumberFormat('en', {maximumFractionDigits: 2});
const local = new Intl.DateTimeFormat('en-GB', {
  year: 'numeric', month: 'short', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
});

export const nothing = '\u2013';

export const count = (n) => (Number.isFinite(n) ? whole.format(n) : nothing);
export const compact = (n) => (!Number.isFinite(n) ? nothing : Math.abs(n) < 10000 ? whole.format(Math.round(n)) : short.format(n));
export const rate = (n) => (!Number.isFinite(n) ? nothing : n >= 100 ? compact(n) : decimal.format(n));
export const percent = (share) => (Number.isFinite(share) ? `${decimal.format(Math.round(share * 1000) / 10)} %` : nothing);
// "out_of_attempts" -> "out of attempts"
export const words = (text) => (text ?? '').replaceAll('_', ' ');
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// 0.0123 -> "12.3 ms", 75 -> "1 min 15 s", 90000 -> "1 d 1 h"
export function seconds(s) {
  if (!Number.isFinite(s)) return nothing;
  const size = Math.abs(s);
  if (size === 0) return '0 s';
  if (size < 0.001) return `${Math.round(s * 1e6)} \u00b5s`;
  if (size < 1) return `${Number((s * 1000).toPrecision(3))} ms`;
  if (size < 60) return `${Number(s.toPrecision(3))} s`;
  const sign = s < 0 ? '-' : '';
  const rest = Math.round(size);
  const [big, small, n] = size < 3600 ? ['min', 's', 60] : size < 86400 ? ['h', 'min', 3600] : ['d', 'h', 86400];
  const lower = Math.floor((rest % n) / (n === 60 ? 1 : n === 3600 ? 60 : 3600));
  return `${sign}${Math.floor(rest / n)} ${big}${lower ? ` ${lower} ${small}` : ''}`;
}

// How far the server's clock is ahead of this machine's, so that "in 5 s" is true here, too.
let ahead = 0;
export const setServerTime = (text) => {
  const at = Date.parse(text);
  if (Number.isFinite(at)) ahead = at - Date.now();
};
export const now = () => Date.now() + ahead;

export function relative(at, from = now()) {
  const s = (at - from) / 1000;
  if (Math.abs(s) < 1) return 'now';
  const size = Math.abs(s);
  const text = size < 60 ? `${Math.floor(size)} s`
    : size < 3600 ? `${Math.floor(size / 60)} min`
    : size < 86400 ? `${Math.floor(size / 3600)} h`
    : `${whole.format(Math.floor(size / 86400))} d`;
  return s < 0 ? `${text} ago` : `in ${text}`;
}

export const absolute = (text) => {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? String(text) : `${local.format(at)} (${text})`;
};
