"""How pages look: in light and dark, on wide and narrow screens, and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f8; --line: #d5d9e0; --text: #1b1f27; --quiet: #565e6c;
  --good: #16703a; --bad: #b3261e; --accent: #1b5fb5;
  --c0: #2f6fc4; --c1: #4f9a94; --c2: #8a63b8; --c3: #b9772a; --c4: #5b8a3c; --c5: #b2567f; --c6: #848e9d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171c; --panel: #1d2128; --line: #363c47; --text: #e7eaef; --quiet: #a3acba;
    --good: #6fcf8f; --bad: #ff8f85; --accent: #8ab8f5;
    --c0: #6ea3ea; --c1: #62b5ae; --c2: #ab8ad6; --c3: #d29a54; --c4: #85b565; --c5: #d283a7; --c6: #6b7482;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 3rem;
  background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif;
}
header, main, footer { min-width: 0; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; overflow-wrap: anywhere; line-height: 1.3; }
h2 { font-size: 1.15rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h3, h4, h5, h6 { font-size: 1rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
main > h2, section > ul, section > :is(h3, h4, h5, h6):not(:first-child) { margin-top: 1.25rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
code { font: .875em ui-monospace, monospace; unicode-bidi: isolate; overflow-wrap: anywhere; }
section {
  margin: 1.25rem 0 0; padding: 1rem; min-width: 0;
  border: 1px solid var(--line); border-radius: .5rem;
}
section section { margin-top: .75rem; }
h1 + p { margin-top: 0; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
.keys { padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.quiet, caption, footer { color: var(--quiet); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.badge {
  display: inline-block; padding: 0 .5rem; margin-left: .5rem; vertical-align: middle;
  border: 1px solid currentColor; border-radius: 1rem; font-size: .8rem; font-weight: 400;
}
.scroll { overflow-x: auto; margin: .75rem 0; }
table { width: 100%; border-collapse: collapse; font-size: .925rem; }
caption { text-align: left; font-size: .875rem; padding-bottom: .25rem; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; white-space: nowrap; }
td { unicode-bidi: isolate; white-space: nowrap; }
td.long { width: 60%; min-width: 14rem; white-space: normal; overflow-wrap: anywhere; }
td.name { width: 30%; min-width: 12rem; white-space: normal; overflow-wrap: anywhere; }
td:not(.long, .name) code { overflow-wrap: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
tbody tr:hover { background: var(--panel); }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.bar { display: block; width: 100%; height: 1rem; margin: .75rem 0; border-radius: .25rem; background: var(--panel); }
rect { stroke: var(--page); stroke-width: 1; }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .c6 { fill: var(--c6); }
.key { display: inline-block; width: .75rem; height: .75rem; margin-right: .4rem; border-radius: .15rem; }
footer { margin-top: 2rem; font-size: .875rem; }
@media (max-width: 40rem) {
  section { padding: .75rem; }
  thead { position: absolute; clip-path: inset(50%); }
  tr { display: flex; flex-wrap: wrap; align-items: baseline; border-bottom: 1px solid var(--line); padding: .3rem 0; }
  td { border: 0; padding: .1rem .4rem; }
  td.long, td.name { flex: 1 0 100%; min-width: 0; }
  td.long::before { content: attr(data-column) ": "; color: var(--quiet); font-size: .875em; }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --panel: #ffffff; --line: #bbbbbb; --text: #000000; --quiet: #444444;
    --good: #16703a; --bad: #b3261e; --accent: #000000;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  section { break-inside: auto; }
  tr, h2, h3, h4, summary { break-inside: avoid; break-after: auto; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
