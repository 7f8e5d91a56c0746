// Every view has an address behind the '#', so the back button works and the page may lie below any path.

export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const parts = path.split('/').filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return {parts, query: Object.fromEntries(new URLSearchParams(query))};
}

// link(['jobs', '17'], {state: 'dead'}) -> "#/jobs/17?state=dead"
export function link(parts = [], query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(kept).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

export function go(parts, query, {replace = false} = {}) {
  const hash = link(parts, query);
  if (hash === location.hash) window.dispatchEvent(new HashChangeEvent('hashchange'));
  else if (replace) location.replace(hash);
  else location.hash = hash;
}

export const start = (show) => {
  window.addEventListener('hashchange', () => {
    // Other fragments are anchors within the page.
    if (location.hash === '' || location.hash.startsWith('#/')) show(parse(location.hash));
  });
  show(parse(location.hash.startsWith('#/') ? location.hash : ''));
};
