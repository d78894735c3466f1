import { RetryableError } from '../lib/errors.ts';
import type { HttpRequest, HttpResponse } from './http.ts';
import { refusedRedirect } from './http-errors.ts';

/** Redirects that one request follows at most. */
export const MAX_REDIRECTS = 5;

/** Statuses that send whoever asks to another address. */
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** Those that ask for the same request again; after the others a body is not sent twice. */
const SAME_REQUEST: readonly number[] = [307, 308];

/** What is known where an answer sends us to another address. */
interface Redirect {
  from: URL;
  target: URL;
  /** 302 when it is not given. */
  status?: number;
  /** Redirects within the host before. */
  hops: number;
  /** True when the host that sent us away is no machine of a private network. */
  isFromPublic: boolean;
}

/** No fact of the error, because addresses may be signed and errors are logged. */
const redirects = new WeakMap<object, Redirect>();

/** An answer that leads elsewhere; unless it is followed, it is refused in these words: a captive portal or a moved mirror would be taken for the host we asked. */
export function foreignRedirect(facts: Redirect): RetryableError {
  const { from, target } = facts;
  const error = new RetryableError(
    'foreign_redirect',
    `${from.origin} redirects to ${target.origin}, which was not asked`,
    {
      subject: { host: from.host, otherHost: target.host },
      hint: 'If the host has moved, change its address in the configuration.',
    },
  );
  redirects.set(error, facts);
  return error;
}

/** Where an answer leads; null = it is no redirect. @throws RetryableError `refused_redirect` when its address cannot be read */
export function redirectTarget(status: number, location: string | undefined, from: string): URL | null {
  if (location === undefined || location === '' || !REDIRECTS.includes(status)) return null;
  // Servers write names as they lie on their disks; headers arrive letter by letter.
  const target = URL.parse(Buffer.from(location, 'latin1').toString('utf8'), from);
  if (target === null)
    throw refusedRedirect(from, `${new URL(from).host} leads to an address that cannot be read`);
  target.username = '';
  target.password = '';
  return target;
}

/** Whoever sends us there has nothing itself. */
function redirectedBack(host: string, otherHost: string): RetryableError {
  return new RetryableError(
    'redirected_back',
    `${host} sends us to ${otherHost}, which is not to be asked this way`,
    {
      subject: { host, otherHost },
    },
  );
}

/** Headers that mean something to the host they were made for alone. */
const OF_ONE_HOST: readonly string[] = ['authorization', 'cookie', 'if-match', 'if-none-match', 'if-range'];

/**
 * Sends a request and follows redirects: within a host always, to other hosts where the request allows it. Each is asked for
 * through `ask`, so that it counts where it leads. Refused are: more than `maxRedirects`, anything but http and https, https to http,
 * and private networks unless the first host is in one itself (a mirror in the house, the sandbox).
 * @param ask rejects with `foreignRedirect` for an answer that leads elsewhere, within the host too
 * @throws RetryableError `foreign_redirect` when the request allows none, `refused_redirect`, `redirected_back`
 */
export async function followRedirects(
  request: HttpRequest,
  ask: (request: HttpRequest) => Promise<HttpResponse>,
): Promise<HttpResponse> {
  const { followOtherHosts = false, maxRedirects = MAX_REDIRECTS, ...first } = request;
  let next: HttpRequest = first;
  let isFirstHost = true;
  for (let left = maxRedirects; ; ) {
    try {
      return await ask({ ...next, maxRedirects: left });
    } catch (error) {
      const redirect = redirects.get(error as object);
      if (redirect === undefined) throw error;
      const { from, target } = redirect;
      const isNear = target.origin === from.origin;
      if (!isNear && !followOtherHosts) {
        // Whoever follows it counts those that were followed here.
        redirects.set(error as object, { ...redirect, hops: redirect.hops + maxRedirects - left });
        throw error;
      }
      if (!isNear && target.host === request.avoidHost) throw redirectedBack(from.host, target.host);
      left -= redirect.hops + 1;
      const problem = left < 0 ? `there are more than ${maxRedirects} in a row` : problemOf(from, target);
      if (problem !== null) throw refusedRedirect(from.href, problem);
      next = { ...asRedirected(next, redirect.status ?? 302), url: target.href };
      if (isNear) continue;
      next.headers = Object.fromEntries(
        Object.entries(next.headers ?? {}).filter(([name]) => !OF_ONE_HOST.includes(name.toLowerCase())),
      );
      // The first host alone decides: it is the one an operator named.
      next.publicOnly = isFirstHost ? redirect.isFromPublic : next.publicOnly === true;
      isFirstHost = false;
    }
  }
}

function problemOf(from: URL, target: URL): string | null {
  if (target.protocol !== 'https:' && target.protocol !== 'http:')
    return `${from.host} leads to something else than http and https`;
  if (from.protocol === 'https:' && target.protocol === 'http:')
    return `${from.host} leads from https to plain http at ${target.host}`;
  return null;
}

/** What was posted is not posted again, as browsers do it, unless the answer asks for that. */
function asRedirected(request: HttpRequest, status: number): HttpRequest {
  if (request.method !== 'POST' || SAME_REQUEST.includes(status)) return request;
  const { body: _body, ...rest } = request;
  const headers = Object.entries(rest.headers ?? {}).filter(([name]) => !/^content-/i.test(name));
  return { ...rest, method: 'GET', headers: Object.fromEntries(headers) };
}
