/** A seed that opens; one colour, readable on light and dark. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#0f8b7d" d="M16 18C16 9 9 4 3 4c0 9 5 14 13 14Z"/><path fill="#4fb8ab" d="M16 21c0-7 6-12 13-12 0 8-5 12-13 12Z"/><path stroke="#0f8b7d" stroke-width="2.6" stroke-linecap="round" d="M16 29.5V16"/></svg>
`;

/** The whole style: system font, one accent, states told by words first and colour second. */
export const STYLE = `:root {
  color-scheme: light dark;
  --ground: #f5f6f6; --card: #ffffff; --line: #dfe3e3; --soft: #edf0f0;
  --ink: #17201f; --quiet: #5b6766;
  --accent: #0a7468; --accent-soft: #dcefec; --track: #dde4e3;
  --warn: #8a5300; --warn-soft: #fff3dc; --warn-line: #e8c583;
  --bad: #b3261e; --bad-soft: #fdeceb; --bad-line: #eab5b1;
  --other: #a9b5b4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #101514; --card: #181f1e; --line: #2b3534; --soft: #222b2a;
    --ink: #e6eceb; --quiet: #9aa8a6;
    --accent: #5cc7b8; --accent-soft: #17352f; --track: #2c3736;
    --warn: #f0bd62; --warn-soft: #2e2615; --warn-line: #5c4a22;
    --bad: #ff8f86; --bad-soft: #341b19; --bad-line: #6b332f;
    --other: #5b6867;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, h3, p, ul, ol, dl, dd { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 { font-size: 1.5rem; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; margin: .25rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; line-height: 1.3; font-weight: 650; overflow-wrap: anywhere; }
h3 { font-size: 1rem; font-weight: 650; }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: 1px; text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
main:focus { outline: none; }
code, pre, .hash, .copy { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: .86em; }
code { color: var(--quiet); overflow-wrap: anywhere; }
pre { margin: 0; padding: .75rem; background: var(--soft); border-radius: 6px; overflow: auto; max-height: 30rem; white-space: pre-wrap; overflow-wrap: anywhere; }
time { white-space: nowrap; }
.wide { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
.hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -999rem; padding: .6rem 1rem; background: var(--card); z-index: 2; }
.skip:focus { left: 1rem; top: .5rem; }
.none { color: var(--quiet); }
.badtext, a.badtext, .badtext a { color: var(--bad); }
.top { background: var(--card); border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; }
.top .wide { display: flex; align-items: center; gap: .25rem 1.75rem; min-height: 3.5rem; flex-wrap: wrap; }
.brand { display: flex; align-items: center; gap: .5rem; font-weight: 700; font-size: 1.1rem; letter-spacing: -.01em; color: var(--ink); text-decoration: none; }
.top nav { align-self: stretch; }
.top nav ul { display: flex; gap: .25rem; height: 100%; }
.top nav a { display: flex; align-items: center; height: 100%; min-height: 3rem; padding: 0 .7rem; color: var(--quiet); text-decoration: none; border-bottom: 2px solid transparent; border-top: 2px solid transparent; }
.top nav a:hover { color: var(--ink); }
.top nav a[aria-current] { color: var(--ink); font-weight: 600; border-bottom-color: var(--accent); }
.livebadge { margin-left: auto; font-size: .85rem; color: var(--quiet); }
.livebadge span:not([hidden])::before { content: ""; display: inline-block; width: .5rem; height: .5rem; margin-right: .4rem; border-radius: 50%; background: var(--accent); }
footer { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .25rem 1.5rem; padding-top: .5rem; padding-bottom: 2rem; color: var(--quiet); font-size: .87rem; }
footer a { color: inherit; margin-left: 0; margin-right: 1rem; }
footer p:last-child a:last-child { margin-right: 0; }

.verdict { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1.5rem; align-items: baseline; padding: .9rem 1.25rem; margin-bottom: 1.25rem; border-radius: 10px; border: 1px solid var(--line); background: var(--card); }
.verdict .title { display: flex; align-items: baseline; gap: .6rem; font-size: 1.25rem; font-weight: 650; letter-spacing: -.01em; white-space: nowrap; }
.verdict .why { color: var(--quiet); overflow-wrap: anywhere; min-width: 0; }
.dot { width: .7rem; height: .7rem; border-radius: 50%; background: var(--accent); flex: none; }
.verdict.attention { background: var(--warn-soft); border-color: var(--warn-line); }
.verdict.attention .dot { background: var(--warn); }
.verdict.stopped { background: var(--bad-soft); border-color: var(--bad-line); }
.verdict.stopped .dot { background: var(--bad); border-radius: 2px; }
.verdict.attention .why, .verdict.stopped .why { color: var(--ink); }

.halts { display: grid; gap: .75rem; margin-bottom: 1.25rem; }
.halt { padding: .8rem 1.25rem; border: 1px solid var(--warn-line); border-left-width: 4px; border-radius: 8px; background: var(--card); overflow-wrap: anywhere; }
.halt.bad { border-color: var(--bad-line); }
.halt.mild { border-color: var(--line); }
.halt .hint { font-weight: 550; }
.halt .when code { color: var(--ink); }
.halt .when { color: var(--quiet); font-size: .93em; }

.columns { display: grid; grid-template-columns: minmax(0, 1fr) 21.5rem; gap: 0 1.25rem; align-items: start; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.25rem 1.1rem; margin-bottom: 1.25rem; }
.card > .head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: .1rem 1rem; margin-bottom: .8rem; }
.aside { color: var(--quiet); font-size: .9rem; }
.empty { color: var(--quiet); padding: .25rem 0; max-width: 60ch; }
.more { margin-top: .6rem; }
.back { margin-bottom: .1rem; font-size: .9rem; }
.back a::before { content: "← " / ""; }

.stages { display: grid; grid-template-columns: repeat(5, 1fr); gap: .4rem; margin: .25rem 0 1.1rem; }
.stages li { border-top: 4px solid var(--track); padding-top: .4rem; font-size: .8rem; line-height: 1.35; color: var(--quiet); min-width: 0; }
.stages li span:first-child { display: block; font-size: .92rem; }
.stages time { white-space: normal; }
.stages .reached { border-color: var(--accent); }
.stages .reached span:first-child { color: var(--ink); }
.stages [aria-current] span:first-child { font-weight: 650; }
.meters { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem 1.75rem; margin-bottom: 1.1rem; }
.meters p { display: flex; justify-content: space-between; align-items: baseline; font-size: .93rem; }
.meters strong { font-size: 1.35rem; font-weight: 650; letter-spacing: -.01em; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .6rem 1.25rem; padding: .8rem 0 .2rem; border-top: 1px solid var(--line); margin-bottom: .7rem; }
dl.facts dt { color: var(--quiet); font-size: .82rem; }
dl.facts dd time { font-weight: 500; font-size: .93em; }
p.todo { margin-bottom: .8rem; }
p.badtext { margin-bottom: .7rem; overflow-wrap: anywhere; }
dl.facts dd { font-weight: 550; overflow-wrap: anywhere; }
.card > dl.facts:last-child { margin-bottom: 0; }

progress { display: block; width: 100%; height: .5rem; margin: .3rem 0; border: 0; border-radius: 99px; background: var(--track); overflow: hidden; appearance: none; -webkit-appearance: none; color: var(--accent); }
progress::-webkit-progress-bar { background: var(--track); border-radius: 99px; }
progress::-webkit-progress-value { background: var(--accent); border-radius: 99px; transition: inline-size .3s ease; }
progress::-moz-progress-bar { background: var(--accent); border-radius: 99px; }
progress:indeterminate { background: repeating-linear-gradient(90deg, var(--track) 0 .5rem, var(--accent-soft) .5rem 1rem); }
progress:indeterminate::-webkit-progress-bar { background: transparent; }
td progress { min-width: 8rem; }

.running li { padding: .6rem 0 .55rem; border-top: 1px solid var(--line); }
.running li:first-child { border-top: 0; padding-top: 0; }
.running li:last-child { padding-bottom: 0; }
.running .what { overflow-wrap: anywhere; }
.subject { color: var(--quiet); overflow-wrap: anywhere; }
p.facts { display: flex; flex-wrap: wrap; gap: 0 1.1rem; color: var(--quiet); font-size: .88rem; }
p.facts span:empty { display: none; }
p.facts [data-part="percent"], p.facts [data-part="rate"] { color: var(--ink); font-weight: 550; }

.scroll { overflow-x: auto; margin: 0 -1.25rem; padding: 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; position: relative; }
th, td { text-align: left; vertical-align: top; padding: .42rem .9rem .42rem 0; border-top: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-top: 0; padding-top: 0; color: var(--quiet); font-size: .8rem; font-weight: 550; white-space: nowrap; }
tbody th { font-weight: 550; }
td br + .none, td br + .badtext { font-size: .88em; }
.num { text-align: right; white-space: nowrap; }
.why { overflow-wrap: anywhere; min-width: 12rem; }
.date { white-space: nowrap; }
.running .reason { overflow-wrap: anywhere; }
.file { overflow-wrap: anywhere; min-width: 14rem; width: 45%; }
.kind { white-space: nowrap; }
.by { overflow-wrap: anywhere; }
tbody th.file, tbody th time { font-weight: 400; }
tbody th .badtext, tbody th .none { font-weight: 400; }
.side table { font-size: .88rem; }
.side th, .side td { padding-right: .55rem; }
.badge { display: inline-block; padding: 0 .5rem; border-radius: 99px; font-size: .82rem; line-height: 1.55; white-space: nowrap; background: var(--soft); color: var(--quiet); }
.badge.active { background: var(--accent-soft); color: var(--accent); font-weight: 600; }
.badge.done { background: var(--accent-soft); color: var(--accent); }
.badge.bad { background: var(--bad-soft); color: var(--bad); font-weight: 600; }

.figure strong { font-size: 1.35rem; font-weight: 650; letter-spacing: -.01em; }
.figure { color: var(--quiet); }
.figure strong { color: var(--ink); }
.gauge { display: block; width: 100%; height: .9rem; margin: .55rem 0 .7rem; border-radius: 5px; }
.gauge .all { fill: var(--track); }
.gauge .ours { fill: var(--accent); }
.gauge .other { fill: var(--other); }
.gauge .promised { fill: var(--accent); opacity: 0.45; }
.gauge .mark { fill: var(--ink); }
.gauge.paused .ours { fill: var(--warn); }
.gauge.hard_stop .ours { fill: var(--bad); }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 3px; margin-right: .45rem; }
.key.ours { background: var(--accent); }
.key.other { background: var(--other); }
.key.promised { background: var(--accent); opacity: 0.45; }
.pairs li { display: flex; justify-content: space-between; gap: 1rem; padding: .28rem 0; }
.pairs li > :last-child { color: var(--quiet); text-align: right; white-space: nowrap; }
.keyed { font-size: .92rem; }
.keyed + p { margin-top: .4rem; font-size: .9rem; }

.torrents li { padding: .85rem 0; border-top: 1px solid var(--line); }
.torrents li:first-child { border-top: 0; padding-top: 0; }
.torrents li:last-child { padding-bottom: 0; }
.torrents .name { overflow-wrap: anywhere; }
.torrents .hash { overflow-wrap: anywhere; }
.chart { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .2rem .6rem; margin: .2rem 0 1.1rem; }
.chart svg { display: block; width: 100%; height: 9rem; overflow: visible; }
.chart path { fill: none; stroke-linecap: round; stroke-linejoin: round; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.chart .line { stroke: var(--accent); stroke-width: 2; }
.chart .dots { stroke: var(--accent); stroke-width: 6; }
.chart .upright, .chart .along { display: flex; justify-content: space-between; color: var(--quiet); font-size: .8rem; line-height: 1; }
.chart .upright { flex-direction: column; text-align: right; margin: -.4rem 0; }
.chart .along { grid-column: 2; padding-top: .3rem; }
.chart figcaption { grid-column: 2; font-size: .88rem; }
.get { display: flex; flex-wrap: wrap; gap: .5rem; margin: .5rem 0 .35rem; }
.get label { flex: 1 1 14rem; min-width: 0; }
input, select, button, .button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .3rem .7rem; min-height: 2.15rem; }
.copy { width: 100%; color: var(--quiet); background: var(--soft); text-overflow: ellipsis; font-size: .84em; }
button, .button { display: inline-flex; align-items: center; color: var(--accent); font-weight: 550; text-decoration: none; cursor: pointer; white-space: nowrap; }
button:hover, .button:hover { border-color: var(--accent); }
.filter { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; margin-bottom: 1.1rem; }
.filter label { display: flex; gap: .5rem; align-items: center; color: var(--quiet); }
.filter select, .filter input { color: var(--ink); max-width: 100%; }
.filter input { width: 11rem; }
.filter input[type="checkbox"] { width: 1.1rem; height: 1.1rem; min-height: 0; margin: 0; accent-color: var(--accent); }
.pager { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .25rem 1.5rem; margin-top: .8rem; color: var(--quiet); font-size: .92rem; }
.pager p { display: flex; gap: 1rem; }
.message { max-width: 40rem; margin: 3rem 0 4rem; }
.message p { margin-bottom: .8rem; overflow-wrap: anywhere; }

@media (max-width: 62rem) {
  .columns { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 36rem) {
  .wide { padding: 0 .9rem; }
  .top { margin-bottom: 1rem; }
  .top nav { order: 3; width: 100%; margin: 0 -.7rem; }
  .top nav ul { flex-wrap: wrap; gap: 0; }
  .top nav a { min-height: 2.6rem; padding: 0 .42rem; }
  .card { padding: .85rem .9rem .95rem; border-radius: 8px; margin-bottom: 1rem; }
  .scroll { margin: 0 -.9rem; padding: 0 .9rem; }
  .verdict { grid-template-columns: 1fr; padding: .8rem .9rem; margin-bottom: 1rem; }
  .meters { grid-template-columns: 1fr; gap: .8rem; }
  .stages { grid-template-columns: 1fr; gap: 0; border-left: 4px solid var(--track); padding-left: .8rem; }
  .stages li { border-top: 0; padding: .1rem 0; display: flex; gap: .75rem; justify-content: space-between; align-items: baseline; }
  .stages .reached { position: relative; }
  .stages .reached::before { content: ""; position: absolute; left: calc(-.8rem - 4px); width: 4px; top: 0; bottom: 0; background: var(--accent); }
  dl.facts { grid-template-columns: 1fr 1fr; }
  dl.facts dd time { white-space: normal; }
  .stacked, .stacked tbody, .stacked tr, .stacked th, .stacked td { display: block; }
  .stacked thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stacked tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  .stacked tr:first-child { border-top: 0; padding-top: 0; }
  .stacked th, .stacked td { border-top: 0; padding: .08rem 0; overflow-wrap: anywhere; }
  .stacked td { display: flex; justify-content: space-between; gap: 1rem; text-align: right; min-width: 0; }
  .stacked td::before { content: attr(data-label); color: var(--quiet); white-space: nowrap; }
  .stacked td.none, .stacked td:empty { display: none; }
}
@media (prefers-reduced-motion: reduce) {
  progress::-webkit-progress-value { transition: none; }
}
@media print {
  .top nav, .livebadge, .filter, .skip { display: none; }
  .card { break-inside: avoid; }
}
`;
