import { expect, test } from 'vitest';
import type { HttpRequest, HttpResponse } from './http.ts';
import { followRedirects, foreignRedirect } from './http-redirects.ts';

/** Goal: the rules that need https, which no test server here speaks. Method: scripted answers, no sockets. */

const response = {} as HttpResponse;

async function follow(from: string, target: string): Promise<string[]> {
  const asked: string[] = [];
  await followRedirects({ url: from, followOtherHosts: true }, async (request: HttpRequest) => {
    asked.push(`${request.url} ${request.publicOnly === true ? 'public' : 'any'}`);
    if (asked.length > 1) return response;
    const facts = { from: new URL(from), target: new URL(target), hops: 0, isFromPublic: true };
    throw foreignRedirect(facts);
  });
  return asked;
}

test('https to https and http to https are followed, from then on into public networks only', async () => {
  expect(await follow('https://a.example/x', 'https://b.example/x')).toEqual([
    'https://a.example/x any',
    'https://b.example/x public',
  ]);
  expect(await follow('http://a.example/x', 'https://a.example/x')).toHaveLength(2);
});

test('a host that is to be avoided is not asked', async () => {
  const asked: string[] = [];
  const request = { url: 'https://mirror.example/x', followOtherHosts: true, avoidHost: 'origin.example' };
  const answer = followRedirects(request, async ({ url }) => {
    asked.push(url);
    const target = new URL(asked.length === 1 ? 'https://b.example/x' : 'https://origin.example/x');
    throw foreignRedirect({ from: new URL(url), target, hops: 0, isFromPublic: true });
  });
  await expect(answer).rejects.toMatchObject({ code: 'redirected_back' });
  expect(asked).toEqual(['https://mirror.example/x', 'https://b.example/x']);
});

test.each([
  'http://b.example/x',
  'http://a.example/x',
])('https to plain http is refused: %s', async (target) => {
  await expect(follow('https://a.example/x', target)).rejects.toMatchObject({
    code: 'refused_redirect',
    message: expect.stringContaining('plain http'),
  });
});
