"""Holds the style sheet of the HTML report: phone and desktop, light and dark, no font or image of anybody else."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8; --text: #1b2330; --soft: #5b6675; --code: #eef1f4;
  --good: #1a7f4b; --bad: #c02a37; --pale: #8a94a3; --wait: #a86500; --ink: #2563c9; --fill: #d5e3f9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --line: #303946; --text: #e4e9f0; --soft: #9aa7b8; --code: #242c37;
    --good: #4cc38a; --bad: #ff7b85; --pale: #77839a; --wait: #e5a54b; --ink: #78a9ff; --fill: #24395c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 70rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 .5rem; }
p:last-child { margin-bottom: 0; }
.soft { color: var(--soft); }
.small { font-size: .875rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .8125rem; }
code { overflow-wrap: anywhere; }
pre { margin: 0 0 .5rem; padding: .625rem .75rem; background: var(--code); border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem;
  margin-top: 1rem; }
.verdict { margin: .75rem 0 0; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .pale { color: var(--pale); } .wait { color: var(--wait); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem .75rem; margin: 0; }
.tiles dt { color: var(--soft); font-size: .8125rem; }
.tiles dd { margin: 0; font-size: 1.25rem; line-height: 1.3; font-weight: 600; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.tiles small { display: block; white-space: normal; font-size: .8125rem; font-weight: 400; color: var(--soft); }
svg { display: block; width: 100%; }
.bar { height: .625rem; margin: 1rem 0 .5rem; border-radius: 5px; overflow: hidden; background: var(--code); }
.bar svg { height: 100%; }
rect.good { fill: var(--good); } rect.bad { fill: var(--bad); } rect.pale { fill: var(--pale); }
rect.wait { fill: var(--wait); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem; }
figure { margin: 0; min-width: 0; }
figcaption { display: flex; justify-content: space-between; gap: .75rem; font-size: .875rem; margin-bottom: .375rem; }
figure svg { height: 9rem; border-bottom: 1px solid var(--line); }
.area { fill: var(--fill); stroke: var(--ink); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.axis { display: flex; justify-content: space-between; gap: .75rem; color: var(--soft); font-size: .8125rem;
  margin-top: .25rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { text-align: left; vertical-align: top; padding: .375rem .75rem .375rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .8125rem; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cause { border-top: 1px solid var(--line); padding: .75rem 0; }
.cause:first-of-type { border-top: 0; padding-top: 0; }
.cause:last-child { padding-bottom: 0; }
.cause header { display: flex; justify-content: space-between; gap: 1rem; }
.cause header span { white-space: nowrap; font-variant-numeric: tabular-nums; font-weight: 600; }
.prefix { display: grid; grid-template-columns: minmax(3.5rem, max-content) minmax(0, 1fr); gap: 0 .75rem;
  margin-top: .5rem; }
.prefix > .number { color: var(--soft); font-size: .9375rem; }
details { margin-top: .125rem; }
summary { cursor: pointer; color: var(--soft); font-size: .8125rem; }
ul { margin: .25rem 0 0; padding-left: 1.125rem; font-size: .875rem; }
li { margin-bottom: .25rem; overflow-wrap: anywhere; }
footer { margin-top: 1rem; color: var(--soft); font-size: .8125rem; overflow-wrap: anywhere; }
@media print { details > * { display: block; } section { break-inside: avoid; } }
"""
