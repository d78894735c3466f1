import { expect, test } from 'vitest';
import { loadSecrets } from './secrets.ts';

function collect(env: Record<string, string>, files: Record<string, string> = {}) {
  return loadSecrets({ env, readTextFile: (path) => files[path] ?? null });
}

test('takes the environment before a file, a file before a credential, a credential before /run/secrets', () => {
  const files = { '/f': 'file', '/cred/gist_token': 'credential', '/run/secrets/gist_token': 'run' };
  const env = { GIST_TOKEN: 'environment', GIST_TOKEN_FILE: '/f', CREDENTIALS_DIRECTORY: '/cred/' };
  const steps: [Record<string, string>, string, string][] = [
    [env, 'environment', 'environment'],
    [{ ...env, GIST_TOKEN: '' }, 'file', 'file'],
    [{ CREDENTIALS_DIRECTORY: '/cred' }, 'credential', 'systemd credential'],
    [{}, 'run', '/run/secrets'],
  ];
  for (const [variables, value, origin] of steps) {
    const { secrets, origins } = collect(variables, files);
    expect([secrets.gistToken, origins.gistToken]).toEqual([value, origin]);
  }
});

test('knows the short names of the Internet Archive keys and upper-case file names', () => {
  const { secrets } = collect({ IA_ACCESS: 'a' }, { '/run/secrets/IA_SECRET': 's' });
  expect(secrets).toMatchObject({ iaAccessKey: 'a', iaSecretKey: 's' });
});

test('drops the line end of a file and keeps every other blank', () => {
  expect(collect({ SMTP_PASSWORD_FILE: '/f' }, { '/f': ' pass word \r\n' }).secrets.smtpPassword).toBe(
    ' pass word ',
  );
});

test('reports a named file that is missing or empty and does not look further', () => {
  const { secrets, problems } = collect(
    { GIST_TOKEN_FILE: '/gone', SMTP_PASSWORD_FILE: '/empty' },
    {
      '/empty': '\n',
      '/run/secrets/gist_token': 'old',
    },
  );
  expect(secrets.gistToken).toBeNull();
  expect(problems.map(({ path, message, severity }) => `${severity}: ${path} ${message}`)).toEqual([
    'error: GIST_TOKEN_FILE names the file /gone, which does not exist.',
    'error: SMTP_PASSWORD_FILE names the file /empty, which is empty.',
  ]);
});

test('warns about a credential it may not read, and says why', () => {
  const { secrets, problems } = loadSecrets({
    env: {},
    readTextFile: (path) => {
      if (path === '/run/secrets/gist_token') throw Object.assign(new Error('x'), { code: 'EACCES' });
      return null;
    },
  });
  expect(secrets.gistToken).toBeNull();
  expect(problems).toMatchObject([
    { path: '/run/secrets/gist_token', message: 'cannot be read: EACCES.', severity: 'warning' },
  ]);
});

test('is all null in an empty world', () => {
  expect(new Set(Object.values(collect({}).secrets))).toEqual(new Set([null]));
});
