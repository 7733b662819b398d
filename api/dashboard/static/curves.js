/* Equity curves of accounts: one question for each account that is looked at. */

import { ordered, seconds } from './charts.js';

export const LINE_COLOURS = ['--accent', '--warn', '--good', '--bad', '--ink-2'];

/** The answers of /equity/curve for each account that is looked at; call `all` in a view, and it asks for what is new. */
export class Curves {
  #tools;
  #points;
  #known = new Map();

  constructor(tools, points) {
    this.#tools = tools;
    this.#points = points;
  }

  get all() {
    for (const { account } of this.#tools.house.chosen) {
      if (this.#known.has(account)) continue;
      this.#known.set(account, this.#tools.resource('/equity/curve', { account, points: this.#points }, { kinds: ['equity'] }));
    }
    return [...this.#known].map(([account, answer]) => ({ account, answer, awaited: !answer.data && !answer.error, points: answer.data?.points ?? [] }));
  }
}

/** One line of a curve: what *of* makes of each point; points without it are left out. */
export function line(points, of) {
  return ordered(points.flatMap((point) => {
    const value = of(point);
    return value === null || value === undefined ? [] : [{ time: seconds(point.at), value }];
  }));
}

/**
 * The points of several accounts as of one: their growth weighted by what was put into each, at every moment that one of
 * them has a point; before its first, an account counts as it began.
 */
export function together(curves) {
  const drawn = curves.filter(({ points }) => points.length);
  const weights = drawn.map(({ points }) => Number(points[0].deposited) || 1);
  const whole = weights.reduce((sum, each) => sum + each, 0);
  const moments = [...new Set(drawn.flatMap(({ points }) => points.map((point) => point.at)))].sort((a, b) => Date.parse(a) - Date.parse(b));
  const places = drawn.map(() => -1);
  let peak = 0;
  return moments.map((at) => {
    let growth = 0;
    let bought = 0;
    for (const [place, { points }] of drawn.entries()) {
      while (places[place] + 1 < points.length && Date.parse(points[places[place] + 1].at) <= Date.parse(at)) places[place] += 1;
      const now = points[places[place]] ?? { growth: 1, buy_and_hold: 1 };
      growth += (now.growth * weights[place]) / whole;
      bought = bought === null || now.buy_and_hold === null ? null : bought + (now.buy_and_hold * weights[place]) / whole;
    }
    peak = Math.max(peak, growth);
    return { at, growth, buy_and_hold: bought, drawdown: peak > 0 ? 1 - growth / peak : 0 };
  });
}

export const grown = (point) => point.growth - 1;
export const bought = (point) => (point.buy_and_hold === null ? null : point.buy_and_hold - 1);
export const fallen = (point) => -point.drawdown;
