// A line chart: lines and areas as SVG that stretches, words and figures as text that does not.

import {h, svg} from './dom.js';
import {nothing} from './format.js';

const clock = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit'});
const clockSeconds = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', second: '2-digit'});
const day = new Intl.DateTimeFormat('en-GB', {day: 'numeric', month: 'short'});
const full = new Intl.DateTimeFormat('en-GB', {day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit'});

// The next "round" number: 1, 2, 2.5, 5, 10, ...
export function ceiling(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].find((step) => step * power >= most * 0.999999) * power;
}

const wide = 1000;
const high = 100;

// Points as [x, y or null] make one or several strokes: where nothing is known there is a gap.
function strokes(points, gap) {
  const all = [];
  let run = [];
  points.forEach(([t, v, x, y], i) => {
    if (v === null || (i > 0 && t - points[i - 1][0] > gap)) {
      if (run.length) all.push(run);
      run = [];
    }
    if (v !== null) run.push([x, y]);
  });
  if (run.length) all.push(run);
  return all;
}

const path = (run) => run.map(([x, y], i) => `${i ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(2)}`).join('');

// series: [{name, tone, area, points: [[ms, value or null], ...]}]; all have the same times.
export function chart({title, note, series, from, to, format, gap = Infinity, whole = false}) {
  const all = series.flatMap((one) => one.points.map(([, v]) => v)).filter((v) => v !== null && Number.isFinite(v));
  const top = Math.max(ceiling(Math.max(0, ...all)), whole ? 2 : 0);
  const x = (t) => ((t - from) / (to - from)) * wide;
  const y = (v) => high - (v / top) * high;
  const drawn = series.map((one) => {
    // With the last point before the range, so that lines come in from the edge.
    const begin = Math.max(0, one.points.findLastIndex(([t]) => t < from));
    const points = one.points.slice(begin).filter(([t]) => t <= to).map(([t, v]) => [t, v, x(t), v === null ? 0 : y(v)]);
    const runs = strokes(points, gap);
    return [
      one.area ? runs.filter((run) => run.length > 1).map((run) => svg('path', {class: `area s-${one.tone}`, d: `${path(run)}L${run.at(-1)[0].toFixed(1)} ${high}L${run[0][0].toFixed(1)} ${high}Z`})) : null,
      runs.map((run) => svg('path', {class: `line s-${one.tone}${run.length > 1 ? '' : ' one'}`, 'vector-effect': 'non-scaling-stroke', d: `${path(run)}h0`})),
    ];
  });
  const last = series.map((one) => `${one.name} ${lastOf(one.points, format)}`).join(', ');
  const times = series[0]?.points.map(([t]) => t).filter((t) => t >= from && t <= to) || [];
  const tip = h('div.tip', {'data-keep': true, hidden: true});
  const rule = h('div.rule', {'data-keep': true, hidden: true});
  const hover = (event) => {
    const plot = event.currentTarget;
    const box = plot.getBoundingClientRect();
    const at = from + ((event.clientX - box.left) / box.width) * (to - from);
    if (!times.length) return;
    const nearest = times.reduce((best, t) => (Math.abs(t - at) < Math.abs(best - at) ? t : best));
    const share = (nearest - from) / (to - from);
    const [liveRule, liveTip] = [plot.querySelector('.rule'), plot.querySelector('.tip')];
    liveRule.hidden = liveTip.hidden = false;
    liveRule.style.left = `${share * 100}%`;
    liveTip.style.left = share < 0.5 ? `calc(${share * 100}% + 8px)` : 'auto';
    liveTip.style.right = share < 0.5 ? 'auto' : `calc(${(1 - share) * 100}% + 8px)`;
    liveTip.replaceChildren(h('div.dim', full.format(nearest)), ...series.map((one) => {
      const point = one.points.find(([t]) => t === nearest);
      return h('div', h('span', {class: `key s-${one.tone}`}), `${one.name} `, h('b', point && point[1] !== null ? format(point[1]) : nothing));
    }));
  };
  const leave = (event) => {
    event.currentTarget.querySelector('.rule').hidden = true;
    event.currentTarget.querySelector('.tip').hidden = true;
  };
  const span = to - from;
  const tick = (t) => (span <= 600000 ? clockSeconds : span <= 2 * 86400000 ? clock : day).format(t);
  return h('figure.chart',
    h('figcaption', h('span.name', title, note ? h('small', note) : null),
      h('span.legend', series.map((one) => h('span', h('span', {class: `key s-${one.tone}`}), one.name, ' ', h('b', lastOf(one.points, format)))))),
    h('div.frame',
      h('div.ys', {'aria-hidden': 'true'}, [top, top / 2, 0].map((v) => h('span', format(v)))),
      h('div.plot', {onpointermove: hover, onpointerleave: leave},
        svg('svg', {viewBox: `0 0 ${wide} ${high}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: ${all.length ? `at last ${last}; axis to ${format(top)}` : 'no data'}`},
          [0, 0.5, 1].map((share) => svg('line', {class: 'grid', x1: 0, x2: wide, y1: share * high, y2: share * high, 'vector-effect': 'non-scaling-stroke'})), drawn),
        all.length ? null : h('div.none', 'No data in this range'), rule, tip),
      h('div.xs', {'aria-hidden': 'true'}, [0, 1 / 3, 2 / 3, 1].map((share) => h('span', tick(from + span * share))))));
}

function lastOf(points, format) {
  const last = points.findLast(([, v]) => v !== null && Number.isFinite(v));
  return last ? format(last[1]) : nothing;
}
