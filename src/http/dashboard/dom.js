// Makes nodes, and patches what is shown into what should be shown. Data becomes text here and never markup.

const SVG = 'http://www.w3.org/2000/svg';
const nodes = Symbol('handlers');
const sign = Symbol('signature');
const rest = Symbol('children to come');

// h('a.quiet.small', {href: '#/', onclick: f, style: {width: '3%'}}, 'text', node, [more], null); properties may be left out.
export function h(tag, ...given) {
  const [name, ...classes] = tag.split('.');
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(' ');
  const props = given[0] && Object.getPrototypeOf(given[0]) === Object.prototype ? given.shift() : {};
  return build(node, props, given);
}

export function svg(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

function build(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) {
      if (name === 'checked') node.checked = false;
      continue;
    }
    if (name.startsWith('on')) {
      node[name] = value;
      (node[nodes] ||= {})[name] = value;
    } else if (name === 'style') {
      Object.assign(node.style, value);
    } else if (name === 'checked') {
      node.checked = true;
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  node.append(...flat(children));
  return node;
}

// Gets its children when it is shown, and only if the one that is shown now was made with another signature.
export function lazy(node, signature, children) {
  node[sign] = signature;
  node[rest] = children;
  return node;
}

function complete(node) {
  if (node[rest]) node.append(...flat(node[rest]()));
  node[rest] = null;
}

function completeAll(node) {
  complete(node);
  for (const child of node.children || []) completeAll(child);
  return node;
}

function flat(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false && one !== '')
    .map((one) => (one instanceof Node ? one : document.createTextNode(String(one))));
}

// Shows these children in `parent`, and keeps every node that can stay: with its focus, its scroll position and what is typed in it.
export function fill(parent, ...children) {
  patchChildren(parent, flat(children));
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute('data-key') : null);

function patchChildren(parent, wanted) {
  const keys = new Set(wanted.map(keyOf).filter(Boolean));
  const keyed = new Map();
  for (const node of [...parent.childNodes]) {
    const key = keyOf(node);
    if (!key) continue;
    if (keys.has(key)) keyed.set(key, node);
    else node.remove();
  }
  let at = parent.firstChild;
  for (const next of wanted) {
    const key = keyOf(next);
    const live = key ? keyed.get(key) : at && !keyOf(at) && at.nodeName === next.nodeName ? at : null;
    if (!live || live.nodeName !== next.nodeName) {
      parent.insertBefore(completeAll(next), at);
      continue;
    }
    if (live === at) at = at.nextSibling;
    else parent.insertBefore(live, at);
    patch(live, next);
  }
  while (at) {
    const old = at;
    at = at.nextSibling;
    old.remove();
  }
}

function patch(live, next) {
  if (live.nodeType === Node.TEXT_NODE) {
    if (live.data !== next.data) live.data = next.data;
    return;
  }
  if (live.hasAttribute('data-keep') && next.hasAttribute('data-keep')) return;
  if (next[sign] !== undefined && live[sign] === next[sign]) return;
  complete(next);
  live[sign] = next[sign];
  // Somebody opens and closes these; what was drawn does not know.
  const own = live.nodeName === 'DETAILS' || live.nodeName === 'DIALOG' ? 'open' : null;
  for (const {name} of [...live.attributes])
    if (!next.hasAttribute(name) && name !== own && name !== 'style') live.removeAttribute(name);
  for (const {name, value} of next.attributes) {
    if (name === 'style' || name === own || live.getAttribute(name) === value) continue;
    live.setAttribute(name, value);
    if (name === 'value' && 'value' in live && live !== document.activeElement) live.value = value;
  }
  // By way of the object model: the policy of the page refuses style attributes.
  if (live.style.cssText !== next.style.cssText) live.style.cssText = next.style.cssText;
  for (const name of Object.keys(live[nodes] || {})) if (!next[nodes]?.[name]) live[name] = null;
  Object.assign(live, next[nodes]);
  live[nodes] = next[nodes];
  if (live.nodeName === 'INPUT' && live.checked !== next.checked) live.checked = next.checked;
  patchChildren(live, [...next.childNodes]);
  if (live.nodeName === 'SELECT' && live !== document.activeElement) {
    const chosen = live.querySelector('option[selected]');
    if (chosen && live.value !== chosen.value) live.value = chosen.value;
  }
}
