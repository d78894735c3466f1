import { html } from 'hono/html';
import { type Html, time } from './parts.ts';

const NAVIGATION = [
  { href: '/', name: 'Overview' },
  { href: '/cycles', name: 'Cycles' },
  { href: '/coverage', name: 'Coverage' },
  { href: '/jobs', name: 'Jobs' },
  { href: '/torrents', name: 'Torrents' },
] as const;

/** What every page needs beside its own content. */
export interface FrameFacts {
  title: string;
  /** Which entry of the navigation the page belongs to; null for error pages. */
  current: (typeof NAVIGATION)[number]['href'] | null;
  now: number;
  version: string;
  /** Changes with every release, so that style and script may be cached for ever. */
  assetTag: string;
}

/** The frame around every page: skip link, navigation, content, foot. */
export function frame(facts: FrameFacts, body: Html | Html[]): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${facts.title} · WikiSeed</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css?v=${facts.assetTag}">
<script src="/assets/live.js?v=${facts.assetTag}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<header class="top"><div class="wide">
<a class="brand" href="/"><img src="/assets/icon.svg" alt="" width="26" height="26"><span>WikiSeed</span></a>
<nav aria-label="Main"><ul>${NAVIGATION.map(
    (entry) =>
      html`<li><a href="${entry.href}"${entry.href === facts.current ? html` aria-current="page"` : ''}>${entry.name}</a></li>`,
  )}</ul></nav>
<p class="livebadge"><span id="live" role="status" hidden></span></p>
</div></header>
<main id="content" tabindex="-1" class="wide">
${body}
</main>
<footer class="wide"><p>As of ${time(facts.now)} · WikiSeed ${facts.version}</p>
<p><a href="/api/v1/status">Status as JSON</a> <a href="/healthz">Health</a> <a href="/manifest.txt">Manifest</a></p></footer>
</body>
</html>`;
}

/** A page for "there is nothing here" and its kin. */
export function messagePage(facts: FrameFacts, text: string): Html {
  return frame(
    facts,
    html`<div class="message"><h1>${facts.title}</h1><p>${text}</p><p><a href="/">Go to the overview</a></p></div>`,
  );
}
