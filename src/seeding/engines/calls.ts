import { describeError, Interrupted, seconds } from '../../lib/index.ts';
import { type Http, readBody } from '../../ports/index.ts';
import { EngineDown } from './driver.ts';

/** What one call brought. */
export interface EngineAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  text: string;
}

/** How long a program may be silent; it answers from memory. */
const SILENCE_MS = seconds(20);
/** A list of a thousand torrents with their trackers. */
const ANSWER_MAX_BYTES = 64 * 2 ** 20;

/** Sends one request and reads the whole answer, whatever its status. @throws EngineDown; Interrupted */
export async function callEngine(
  http: Http,
  title: string,
  request: {
    url: string;
    method?: 'GET' | 'POST';
    headers: Record<string, string>;
    body?: string | Buffer;
    signal: AbortSignal;
  },
): Promise<EngineAnswer> {
  try {
    const response = await http.request({
      ...request,
      inactivityMs: SILENCE_MS,
      // A connection that it closed meanwhile would look like a program that is not there.
      headers: { ...request.headers, connection: 'close' },
    });
    const body = await readBody(response, ANSWER_MAX_BYTES);
    return { status: response.status, headers: response.headers, text: body.toString('utf8') };
  } catch (error) {
    if (error instanceof Interrupted || request.signal.aborted) throw new Interrupted();
    throw new EngineDown(title, new URL(request.url).origin, describeError(error));
  }
}

/** JSON of a program. @throws EngineDown when it is something else, such as the page of a proxy */
export function parseAnswer(title: string, url: string, { status, text }: EngineAnswer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new EngineDown(title, new URL(url).origin, `status ${status}, and no JSON`);
  }
}
