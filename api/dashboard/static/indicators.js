/* What is drawn over candles. Computed here from the candles on the screen, so the first values of a line are missing. */

export function ema(values, period) {
  const factor = 2 / (period + 1);
  let last = null;
  return values.map((value, place) => {
    if (place < period - 1) return null;
    last = last === null ? mean(values.slice(0, period)) : last + (value - last) * factor;
    return last;
  });
}

/** {middle, upper, lower}: a mean and so many standard deviations around it. */
export function bands(values, period, width) {
  const windows = values.map((_, place) => (place < period - 1 ? null : values.slice(place - period + 1, place + 1)));
  const middle = windows.map((each) => each && mean(each));
  const spread = windows.map((each, place) => each && width * Math.sqrt(mean(each.map((value) => (value - middle[place]) ** 2))));
  return {
    middle,
    upper: middle.map((value, place) => value === null ? null : value + spread[place]),
    lower: middle.map((value, place) => value === null ? null : value - spread[place]),
  };
}

/** Wilder's relative strength, 0 to 100. */
export function rsi(values, period) {
  let [gains, losses] = [0, 0];
  return values.map((value, place) => {
    if (place === 0) return null;
    const step = value - values[place - 1];
    const [up, down] = [Math.max(step, 0), Math.max(-step, 0)];
    if (place <= period) {
      gains += up / period;
      losses += down / period;
      if (place < period) return null;
    } else {
      gains += (up - gains) / period;
      losses += (down - losses) / period;
    }
    return gains + losses === 0 ? 50 : (100 * gains) / (gains + losses);
  });
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
