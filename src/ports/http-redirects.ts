import { RetryableError } from '../lib/errors.ts';
import type { HttpRequest, HttpResponse } from './http.ts';
import { refusedRedirect } from './http-errors.ts';

/** Redirects that one request follows at most. */
export const MAX_REDIRECTS = 5;

/** What is known where a host sends us to another one. */
interface ForeignRedirect {
  from: URL;
  target: URL;
  /** Redirects within the host before. */
  hops: number;
  /** True when the host that sent us away is no machine of a private network. */
  isFromPublic: boolean;
}

/** No fact of the error, because addresses may be signed and errors are logged. */
const redirects = new WeakMap<object, ForeignRedirect>();

/** A captive portal or a moved mirror: its answer would be taken for that of the host we asked. */
export function foreignRedirect(facts: ForeignRedirect): RetryableError {
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
 * Sends a request and follows redirects to other hosts where it allows them. Each is asked for through `ask`, so that it counts
 * where it leads. Refused are: anything but http and https, https to http, and private networks unless the first host is in one
 * itself (a mirror in the house, the sandbox).
 * @throws RetryableError `foreign_redirect` when the request allows none, `refused_redirect`, `redirected_back`
 */
export async function followRedirects(
  request: HttpRequest,
  ask: (request: HttpRequest) => Promise<HttpResponse>,
): Promise<HttpResponse> {
  const { followOtherHosts = false, maxRedirects = MAX_REDIRECTS, ...first } = request;
  let next = first;
  for (let left = maxRedirects; ; ) {
    try {
      return await ask({ ...next, maxRedirects: left });
    } catch (error) {
      const redirect = redirects.get(error as object);
      if (!followOtherHosts || redirect === undefined) throw error;
      const { from, target } = redirect;
      if (target.host === request.avoidHost) throw redirectedBack(from.host, target.host);
      left -= redirect.hops + 1;
      const problem =
        left < 0
          ? `there are more than ${maxRedirects} in a row`
          : target.protocol !== 'https:' && target.protocol !== 'http:'
            ? `${from.host} leads to something else than http and https`
            : from.protocol === 'https:' && target.protocol === 'http:'
              ? `${from.host} leads from https to plain http at ${target.host}`
              : null;
      if (problem !== null) throw refusedRedirect(from.href, problem);
      const url = new URL(target);
      url.username = '';
      url.password = '';
      next = {
        ...next,
        url: url.href,
        headers: Object.fromEntries(
          Object.entries(next.headers ?? {}).filter(([name]) => !OF_ONE_HOST.includes(name.toLowerCase())),
        ),
        // The first host alone decides: it is the one an operator named.
        publicOnly: next === first ? redirect.isFromPublic : next.publicOnly === true,
      };
    }
  }
}
