/* What the words mean that are not everybody's, for whoever points at one. */

import { h } from './dom.js';

export const TERMS = {
  r: 'R is what was risked at first: the way from the entry to the first stop. +2 R gained twice that.',
  edge: 'What the closed positions have earned by themselves, and where: by side, symbol, hour, holding time, model.',
  clipped: 'Risk let it through, but smaller than the model wanted.',
  guard: 'A rule of the house closed it: its exit plan came true, a breaker flattens, or no stop could be placed.',
  external: 'No order of ours ended it: somebody at the exchange, another program, or the exchange itself.',
  grounding: 'Whether the numbers that the model cites are those it had been shown.',
  stages: 'The four stages of a cycle: fetch prices, decide, execute orders, reconcile with the exchange.',
  drawdown: 'The deepest fall of the equity from a peak before it, deposits taken out.',
  fill: 'A trade of the exchange: an order may take several of them.',
  profit_factor: 'What was won for each dollar lost.',
  sharpe: 'Mean daily return over its spread, for a year.',
  real_time: "By this server's own clock; a paper market has a time of its own.",
  sortino: 'Mean daily return over the spread of the losing days, for a year.',
};

/** *text* with what the word means when one points at it. */
export function term(name, text) {
  return h('abbr', { title: TERMS[name] }, text);
}
