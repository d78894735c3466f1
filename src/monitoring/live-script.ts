/**
 * The only script of the page, served as `/assets/live.js`. Everything works without it; with it, numbers move by themselves:
 * `progress` events update bars in place, `changed` events fetch the same page again, at most every two seconds, and swap
 * the regions marked `data-live`. A region the reader is using (focus or selected text inside) is left alone.
 */
export const LIVE_SCRIPT = `'use strict';
(() => {
  if (!window.EventSource || !document.querySelector('[data-live]')) return;
  const QUIET_MS = 2000;
  const badge = document.getElementById('live');
  const say = (text) => { if (badge && badge.textContent !== text) { badge.textContent = text; badge.hidden = false; } };
  let busy = false;
  let wanted = false;

  const inUse = (region) => {
    if (region.contains(document.activeElement)) return true;
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && region.contains(selection.anchorNode);
  };

  const refresh = async () => {
    if (busy) { wanted = true; return; }
    busy = true;
    wanted = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
      if (answer.ok) {
        const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
        for (const region of document.querySelectorAll('[data-live]')) {
          const fresh = next.querySelector('[data-live="' + region.dataset.live + '"]');
          if (fresh && !inUse(region) && fresh.innerHTML !== region.innerHTML) region.replaceWith(document.adoptNode(fresh));
        }
      }
    } catch { /* The next event tries again; the badge tells when the connection is lost. */ }
    setTimeout(() => { busy = false; if (wanted) refresh(); }, QUIET_MS);
  };

  const showProgress = (job) => {
    const row = document.querySelector('[data-job="' + Number(job.jobId) + '"]');
    if (!row) return;
    const set = (name, text) => {
      const cell = row.querySelector('[data-part="' + name + '"]');
      if (cell && text) cell.textContent = text;
    };
    set('bytes', job.bytesText);
    set('rate', job.rateText);
    const bar = row.querySelector('progress');
    if (bar && job.totalBytes > 0 && job.doneBytes !== null) {
      bar.max = job.totalBytes;
      bar.value = Math.min(job.doneBytes, job.totalBytes);
      set('percent', Math.floor((100 * bar.value) / bar.max) + ' %');
    }
  };

  const source = new EventSource('/events');
  source.onopen = () => { say('Live'); refresh(); };
  source.onerror = () => say('Reconnecting');
  source.addEventListener('progress', (event) => { for (const job of JSON.parse(event.data).jobs) showProgress(job); });
  source.addEventListener('changed', refresh);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
  document.addEventListener('focusin', (event) => {
    if (event.target instanceof HTMLInputElement && event.target.readOnly) event.target.select();
  });
})();
`;
