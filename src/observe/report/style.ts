/**
 * The report's style: light or dark as the reader's system is, fit for paper, and without anything from a network.
 *
 * Pure; runs on the main thread.
 */
import { Markup } from './html.js';

const DARK = `
  --page: #14161a; --card: #1d2026; --text: #e6e8eb; --soft: #9aa3af; --rule: #31363f;
  --accent: #6ea8fe; --accent-soft: #6ea8fe33; --good: #4cc38a; --bad: #ff7b72; --warn: #e3b341;
  --working: #4c8ef7; --source: #d29922; --target: #a371f7; --reader: #56b4c9; --hasher: #d16d9e; --writer: #8b949e;
  --on-share: #0d1117;`;

export const STYLE = new Markup(`
:root { color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --text: #1c2128; --soft: #5b6470; --rule: #dde1e7;
  --accent: #1f62d0; --accent-soft: #1f62d022; --good: #1a7f4b; --bad: #c62828; --warn: #8a6100;
  --working: #2f6fde; --source: #b7791f; --target: #7c4dcc; --reader: #1f8a9e; --hasher: #b83b7a; --writer: #69727d;
  --on-share: #ffffff; }
@media (prefers-color-scheme: dark) { :root {${DARK} } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 28px 20px 60px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; margin-bottom: 4px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 0 0 12px; } h3 { font-size: 15px; margin: 18px 0 6px; }
.about { color: var(--soft); margin: 0 0 20px; overflow-wrap: anywhere; }
.badge { border-radius: 999px; padding: 2px 12px; font-weight: 600; border: 1px solid currentColor; white-space: nowrap; }
.success, .match { color: var(--good); } .failed, .differs, .missing { color: var(--bad); }
.cancelled, .interrupted, .skipped { color: var(--warn); }
section, .error { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px; margin: 16px 0; }
.error { border-left: 5px solid var(--bad); } .error p { margin: 4px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 22px; font-weight: 650; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } tr:last-child td { border-bottom: 0; }
.n { text-align: right; white-space: nowrap; } td.bars { min-width: 60px; width: 10%; vertical-align: middle; }
td:first-child { white-space: nowrap; } td.mostly { color: var(--soft); white-space: nowrap; }
code { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 20px; } li { margin: 3px 0; overflow-wrap: anywhere; }
details > summary { cursor: pointer; color: var(--accent); margin: 8px 0; }
.soft { color: var(--soft); } .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 8px 0 0; color: var(--soft); }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
svg { display: block; width: 100%; height: auto; } .chart { min-width: 560px; }
svg text { font: 12px system-ui, sans-serif; } .axis { fill: var(--soft); } .name { fill: var(--text); }
.grid { stroke: var(--rule); } .area { fill: var(--accent-soft); } .line { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; }
.bar { fill: var(--accent); } .bar.failed { fill: var(--bad); } .back { fill: var(--rule); }
.share.working, i.working { fill: var(--working); background: var(--working); } .share.source, i.source { fill: var(--source); background: var(--source); }
.share.target, i.target { fill: var(--target); background: var(--target); } .share.reader, i.reader { fill: var(--reader); background: var(--reader); }
.share.hasher, i.hasher { fill: var(--hasher); background: var(--hasher); } .share.writer, i.writer { fill: var(--writer); background: var(--writer); }
.inside { fill: var(--on-share); font-weight: 600; }
@media print { body { background: none; } section, .tile { break-inside: avoid; } }
`);
