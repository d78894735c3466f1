/** What a root is, for whoever wrote something else. */
const WHAT_A_ROOT_IS =
  'a webseed is a root, which ends in /: clients append the name of the torrent and the path of the file to it (BEP 19)';

/** The address at which a client asks for one file of a torrent: root + name + "/" + path. Pure. */
export function webseedAddress(root: string, infoName: string, path: string): string {
  return root + [infoName, ...path.split('/')].map(encodeURIComponent).join('/');
}

/**
 * Whether an address can be a root at all, by its form. Pure.
 * @param torrent name in the info dictionary, and the paths of its files
 * @returns what is wrong with it, in plain words; null = nothing
 */
export function problemOfRoot(
  root: string,
  torrent: { name: string; files: readonly { path: string }[] },
): string | null {
  const url = URL.parse(root);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return 'it is no http or https address';
  if (url.username !== '' || url.password !== '') return 'it carries a user name or a password';
  const place = url.pathname.replace(/\/+$/, '');
  const file = torrent.files.find(
    ({ path }) =>
      place.endsWith(`/${torrent.name}/${path}`) || decoded(place).endsWith(`/${torrent.name}/${path}`),
  );
  if (file !== undefined)
    return `it is the address of one file (${file.path}) and no root; ${WHAT_A_ROOT_IS}`;
  if (url.search !== '' || url.hash !== '')
    return `it has a ? or # part, behind which nothing can be appended; ${WHAT_A_ROOT_IS}`;
  if (!url.pathname.endsWith('/')) return `it does not end in /; ${WHAT_A_ROOT_IS}`;
  return null;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
