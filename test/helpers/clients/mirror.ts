import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lifetime, until } from './lifetime.ts';
import { freePort } from './ports.ts';

/** A request as a web server saw it. */
export interface WebRequest {
  /** With a leading `/`. */
  path: string;
  status: number;
  /** Of the body, as sent. */
  bytes: number;
}

/** A web server that is a webseed. */
export interface WebServer {
  /** Its root, with a slash at the end. */
  root: string;
  requests(): WebRequest[];
}

/** Limits of a server, so that it is not the only one that gives. */
export interface MirrorOptions {
  host: string;
  folder: string;
  /** How many addresses it is to have: one for each client, since some of them do not say who asks. */
  count: number;
  /** For each connection; absent = as fast as it can. */
  bytesPerSecond?: number;
}

/** nginx over a folder, as a mirror of the dump site serves its tree: plain files, lists of folders, ranges, 404. */
export async function startMirrors(
  lifetime: Lifetime,
  { host, folder, count, bytesPerSecond = 0 }: MirrorOptions,
): Promise<WebServer[]> {
  const own = lifetime.folder();
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  const log = join(own, 'requests');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(own, kind)};`)
    .join(' ');
  writeFileSync(
    join(own, 'nginx.conf'),
    `daemon off; pid ${join(own, 'pid')}; worker_processes 1; error_log stderr;
${process.getuid?.() === 0 ? 'user root;' : ''}
events {}
http {
  ${temporary}
  sendfile on;
  log_format told '$server_port $status $body_bytes_sent $uri';
  access_log ${log} told;
  limit_rate ${bytesPerSecond};
  server { ${ports.map((port) => `listen ${host}:${port};`).join(' ')} root ${folder}; autoindex on; }
}
`,
  );
  const program = lifetime.program('nginx', ['-p', own, '-e', 'stderr', '-c', join(own, 'nginx.conf')]);
  // Asked to end, it ends its worker, too.
  lifetime.add(async () => {
    program.child.kill('SIGTERM');
    await program.ended;
  });
  const rootOf = (port: number) => `http://${host}:${port}/`;
  for (const port of ports)
    await until('nginx answers', async () => (await fetch(`${rootOf(port)}?`)).ok, { told: program.output });
  const all = () =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [port = '', status = '', bytes = '', ...path] = line.split(' ');
        return { port: Number(port), status: Number(status), bytes: Number(bytes), path: path.join(' ') };
      })
      // The question whether it answers.
      .filter(({ path }) => path !== '/');
  return ports.map((port) => ({
    root: rootOf(port),
    requests: () => all().filter((request) => request.port === port),
  }));
}
