"""The look of the report: plain CSS, light and dark, wide and narrow."""

CSS = """
:root { color-scheme: light dark; --ground: #fdfdfc; --ink: #1d1f21; --quiet: #63676c; --rule: #dcdedf;
  --panel: #f5f5f3; --right: #1c7045; --wrong: #b3261e; --tint: #fbe9e7; --line: #2f5d8c; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181a; --ink: #e6e6e3; --quiet: #9a9ea3; --rule: #33373b; --panel: #1e2124;
    --right: #6cc492; --wrong: #f2867c; --tint: #3a2221; --line: #86b4e4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 70rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 3.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.8rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0; }
a { color: inherit; }
nav { margin: 1rem 0 2rem; font-size: .9rem; }
nav a { margin-right: 1rem; }
code, pre { font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--panel); padding: .8rem 1rem; margin: .5rem 0; }
.quiet { color: var(--quiet); }
.right { color: var(--right); white-space: nowrap; }
.wrong { color: var(--wrong); white-space: nowrap; font-weight: 600; }

.cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: 0 2rem; }
.cards.test { grid-template-columns: repeat(3, 1fr); }
.card { border-top: 1px solid var(--rule); padding: .8rem 0 1rem; font-size: .9rem; }
.card h3 { margin: 0; font-weight: 600; }
.card p { margin: .3rem 0 0; }
.card .value { font-size: 1.7rem; line-height: 1.25; font-variant-numeric: tabular-nums; margin: 0; }
.cards.test .value { font-size: 2.6rem; }

.beside { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem 1.5rem; margin: 1.5rem 0 2.5rem; }
.beside > div { min-width: 0; display: flex; flex-direction: column; }
p.label { font-size: .8rem; color: var(--quiet); margin: 0 0 .3rem; }
.pane, iframe { width: 100%; height: 34rem; border: 1px solid var(--rule); }
.pane { overflow: auto; padding: .9rem 1.1rem; background: var(--panel); font-size: .92rem; }
iframe { background: #fff; color-scheme: light; }
.row { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1.5rem; }
.row > *, .stack > * { min-width: 0; border-top: 1px solid var(--rule); padding: .7rem 0; font-size: .92rem; }

.funnels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem 2.5rem; }
.funnels .bars { font-size: .88rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1rem 2rem; }
.charts figure { margin: .5rem 0; }
.charts figcaption { font-size: .88rem; margin-bottom: .3rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg .rule { stroke: var(--rule); stroke-width: 1; }
svg polyline { fill: none; stroke: var(--line); stroke-width: 1.8; stroke-linejoin: round; }
svg polyline.each { stroke-width: 1; opacity: .3; }
svg polyline.feed-forward { stroke-dasharray: 5 3; }

.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.answers { width: 100%; font-size: .9rem; table-layout: fixed; }
.answers th, .answers td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid var(--rule);
  vertical-align: middle; }
.answers th { font-weight: 600; font-size: .82rem; color: var(--quiet); }
.answers .digit { width: 3.8rem; }
.answers .label { width: 4.2rem; }
.answers img { display: block; width: 2.8rem; height: 2.8rem; }
.mistake { background: var(--tint); }
.confusion { font-size: .85rem; }
.confusion th { font-weight: normal; color: var(--quiet); padding: .2rem .6rem; text-align: right; }
.confusion td { text-align: right; padding: .2rem .6rem; min-width: 2.4rem; }
.confusion td.right { font-weight: 600; }
.confusion td.mistake { color: var(--wrong); }

@media (max-width: 46rem) {
  body { padding-top: 1.5rem; }
  .cards, .cards.test { grid-template-columns: 1fr 1fr; gap: 0 1.2rem; }
  .cards.test .value { font-size: 1.9rem; }
  .beside, .row { grid-template-columns: 1fr; }
  .pane, iframe { height: 24rem; }
  .answers { min-width: 44rem; }
  .confusion th, .confusion td { padding: .2rem .3rem; min-width: 0; }
}
"""
