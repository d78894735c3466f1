/** What a program of ours is told of the environment: paths, languages, certificates, memory, and the proxy it must not go around. */
const PASSED_ON =
  /^(?:PATH|HOME|TZ|LANG|LC_\w+|TMPDIR|TEMP|TMP|SYSTEMROOT|WINDIR|NODE_ENV|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|UV_THREADPOOL_SIZE|MALLOC_\w+|NODE_USE_ENV_PROXY|(?:HTTPS?|NO)_PROXY)$/i;

/** Our environment without the secrets, for a program that has to do with strangers. */
export function childEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && PASSED_ON.test(name) ? [[name, value] as const] : [],
    ),
  );
}
