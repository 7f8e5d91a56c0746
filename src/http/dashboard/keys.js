// Keyboard shortcuts. None of them while something is typed, nor with a modifier that belongs to the browser.

const typing = (node) => node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.nodeName)
  && !(node.nodeName === 'INPUT' && /^(checkbox|radio|button|submit)$/.test(node.type)));

export const shortcuts = (views) => [
  ...views.map((one) => [`g ${one.key}`, one.name]),
  ['/', 'Go to the search field'],
  ['j', 'Next row'],
  ['k', 'Row before'],
  ['Enter', 'Open the row'],
  ['x', 'Select the row'],
  ['r', 'Refresh'],
  ['Shift+T', 'Next theme'],
  ['?', 'This help'],
  ['Esc', 'Close a dialog, leave a field'],
];

const rows = () => [...document.querySelectorAll('#view tr[data-row]')].filter((row) => row.offsetParent !== null);

// The row's own link takes the focus, so that Enter and screen readers know what it is.
function move(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const row = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))];
  const target = row.querySelector('th a, th button') || row.querySelector('a, button, input');
  if (target) target.focus();
  else {
    row.tabIndex = -1;
    row.focus();
  }
  row.scrollIntoView({block: 'nearest'});
}

export function keys({view, help, refresh, theme}) {
  let after = -Infinity;
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector('dialog[open]')) return;
    const {key, target} = event;
    if (typing(target)) {
      if (key === 'Escape') target.blur();
      return;
    }
    if (document.querySelector('.app.out')) return;
    if (performance.now() - after < 1500 && /^[a-z]$/.test(key)) {
      after = -Infinity;
      event.preventDefault();
      view(key);
      return;
    }
    const act = {
      g: () => (after = performance.now()),
      j: () => move(1),
      k: () => move(-1),
      x: () => target.closest?.('tr')?.querySelector('.pick input')?.click(),
      r: refresh,
      T: theme,
      '?': help,
      '/': () => document.querySelector('#view [data-search]')?.focus(),
    }[key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
