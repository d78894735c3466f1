import { registerHooks } from 'node:module';
import type WebTorrentClient from 'webtorrent';

/** Takes the place of the package whose native library is not wanted or cannot be loaded. */
const WITHOUT_WEBRTC = `data:text/javascript,${encodeURIComponent(
  'export const RTCPeerConnection = undefined, RTCSessionDescription = undefined, RTCIceCandidate = undefined;',
)}`;
const WEBRTC = 'webrtc-polyfill';

/**
 * Loads webtorrent; to be called once in a thread or process. The package imports its WebRTC library always, and is itself not to
 * be had where that cannot be loaded: without WebRTC it is not touched.
 * @returns `webrtcProblem`: why there is no WebRTC although it is wanted; null = there is, or it is not wanted
 */
export async function loadWebTorrent({ webrtc }: { webrtc: boolean }): Promise<{
  WebTorrent: typeof WebTorrentClient;
  webrtcProblem: string | null;
}> {
  const webrtcProblem = webrtc ? await problemOf(() => import(WEBRTC as string)) : null;
  if (!webrtc || webrtcProblem !== null) {
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === WEBRTC
          ? { url: WITHOUT_WEBRTC, format: 'module', shortCircuit: true }
          : next(specifier, context),
    });
  }
  const { default: WebTorrent } = await import('webtorrent');
  return { WebTorrent, webrtcProblem };
}

/** Why something cannot be loaded, in one line; null = it can. */
export async function problemOf(load: () => unknown): Promise<string | null> {
  try {
    await load();
    return null;
  } catch (error) {
    const { message } = error as Error;
    return message.split('\n')[0] ?? message;
  }
}
