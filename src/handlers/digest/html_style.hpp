#pragma once

#include <string_view>

namespace quern::inline v1::digest {

/// The digest page's style sheet: system fonts, two colour schemes, one column that also fits a phone.
inline constexpr std::string_view html_style = R"css(
:root { color-scheme: light dark; --bg: #fff; --card: #f6f7f9; --text: #1c2024; --soft: #5b6470; --line: #dfe3e8;
  --link: #0a58ca; --note: #b42318; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171b; --card: #1d2228; --text: #e7eaee; --soft: #9aa4b0;
  --line: #303740; --link: #7db2ff; --note: #ff8f83; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 48rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h1 small { display: block; font-size: 1rem; font-weight: 400; color: var(--soft); margin-top: .35rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h2 span, .soft { color: var(--soft); font-weight: 400; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
.summary { font-size: 1.05rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.6rem, 1fr)); gap: .6rem; padding: 0;
  margin: 1.5rem 0; list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .75rem;
  margin: 0; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: .85rem; }
.note { background: var(--card); border-left: .25rem solid var(--note); padding: .5rem .9rem; border-radius: .3rem; }
ul.list { list-style: none; margin: 0; padding: 0; }
ul.list li { padding: .45rem 0; border-bottom: 1px solid var(--line); }
ul.list li:last-child { border-bottom: 0; }
.number { font-variant-numeric: tabular-nums; margin-right: .35rem; }
.facts { display: block; color: var(--soft); font-size: .88rem; }
.label { display: inline-block; border: 1px solid var(--line); border-radius: 1rem; padding: 0 .55rem;
  font-size: .78rem; color: var(--soft); margin-left: .25rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
code { font: .88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 3rem; color: var(--soft); font-size: .88rem; }
@media print { main { max-width: none; padding: 0; } }
)css";

}  // namespace quern::inline v1::digest
