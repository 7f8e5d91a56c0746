// Runs before the first paint, so that a chosen theme does not flash. "auto" leaves it to the system.
try {
  document.documentElement.dataset.theme = localStorage.getItem('quern.theme') || 'auto';
} catch {
  document.documentElement.dataset.theme = 'auto';
}
