/** Where our .torrent files can be fetched from, as far as configured; without trailing slash. */
export interface ManifestAddresses {
  publicBaseUrl: string | null;
  /** null as well when no object store is used. */
  r2PublicBaseUrl: string | null;
}

/** Address of one object that we publish, the object store before our own host; null when neither has an address. */
export function publicAddress(addresses: ManifestAddresses, key: string): string | null {
  const base = addresses.r2PublicBaseUrl ?? addresses.publicBaseUrl;
  return base === null ? null : `${base.replace(/\/+$/, '')}/${key}`;
}

/** Key in the object store and path below `publish/` of a .torrent file. */
export function torrentKey(infoHash: string): string {
  return `torrents/${infoHash}.torrent`;
}
