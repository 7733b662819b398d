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

export const grown = (point) => point.growth - 1;
export const bought = (point) => (point.buy_and_hold === null ? null : point.buy_and_hold - 1);
export const fallen = (point) => -point.drawdown;
