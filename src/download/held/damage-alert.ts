import type { HeldCatalog } from '../../catalog/index.ts';
import type { Bus } from '../../events/index.ts';

/** One matter, however many files: what is damaged is in the table. */
export const DAMAGE_ALERT = 'damaged_files';

const NAMED_MAX = 3;

/** Makes what says which held files are damaged, as an alert, each time that has changed. */
export function createDamageAlert(deps: {
  catalog: Pick<HeldCatalog, 'damagedFiles'>;
  bus?: Bus;
}): () => void {
  /** null = nothing was said yet. */
  let said: string | null = null;
  return () => {
    const files = deps.catalog.damagedFiles();
    const words = files.length === 0 ? '' : sentence(files.map(({ filename }) => filename));
    if (words === said) return;
    said = words;
    if (words === '') deps.bus?.emit('alert:resolved', { key: DAMAGE_ALERT });
    else
      deps.bus?.emit('alert:raised', {
        key: DAMAGE_ALERT,
        severity: 'error',
        message: words,
        hint: 'Repair is tried by itself, every day while a mirror, the origin or the Internet Archive has the bytes; now: wikiseed verify --repair. Look at the disk: dmesg, smartctl -a.',
      });
  };
}

function sentence(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_MAX).join(', ');
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : '';
  return names.length === 1
    ? `a held file is damaged or missing on disk: ${shown}`
    : `${names.length} held files are damaged or missing on disk: ${shown}${more}`;
}
