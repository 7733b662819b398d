/* Everything that knows the chart library. It is loaded when the first chart is drawn, from this server. */

import { h } from './dom.js';
import { price as priceText } from './format.js';
import { timeText } from './time.js';

const LIBRARY = '/vendor/lightweight-charts.standalone.production.js';

let loading = null;

function library() {
  loading ??= import(LIBRARY).then(() => globalThis.LightweightCharts);
  return loading;
}

const DARK = matchMedia('(prefers-color-scheme: dark)');

/** What a variable of look.css is now, as a colour the library can read; *alpha* makes it see-through. */
function colour(name, alpha = 1) {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

function look() {
  const line = { color: colour('--line', 0.7) };
  return {
    layout: { background: { color: 'transparent' }, textColor: colour('--ink-3'), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11.5, attributionLogo: true, panes: { separatorColor: colour('--line') } },
    grid: { vertLines: line, horzLines: line },
    rightPriceScale: { borderVisible: false },
    timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 3, tickMarkFormatter: tick },
    crosshair: { mode: 0, vertLine: { color: colour('--ink-3', 0.5), labelBackgroundColor: colour('--ink-2') }, horzLine: { color: colour('--ink-3', 0.5), labelBackgroundColor: colour('--ink-2') } },
    localization: { timeFormatter: (seconds) => timeText(new Date(seconds * 1000).toISOString(), { seconds: false }) },
  };
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

function tick(seconds, kind) {
  return (kind >= 3 ? CLOCK : DAY).format(seconds * 1000);
}

/** Seconds of an ISO moment, as the library counts. */
export function seconds(iso) {
  return Math.floor(Date.parse(iso) / 1000);
}

/** Points in order of time, one a second: what the library insists on. */
export function ordered(points) {
  const by = new Map();
  for (const point of points) by.set(point.time, point);
  return [...by.values()].sort((a, b) => a.time - b.time);
}

/**
 * Lines over time: *lines* are {name, colour, points: [{time, value}], area, dashed, thin, pane}; *text* writes a value.
 * *label* says in words what is to be seen.
 */
export function lineChart({ label, lines, text = priceText, kind = '', wholly = true, height }) {
  return h('figure.chart', { class: kind, 'aria-label': label, mount: mounted(drawLines), lines, text, wholly, height });
}

/**
 * Candles: *candles* are rows of the API oldest first, *forming* the one that is not closed yet; *lines* as above,
 * *levels* are {price, name, colour} across the whole, *marks* are {time, way, text, href}: a click on one goes there. What is drawn stays where it was
 * scrolled to.
 */
export function candleChart({ label, candles, forming, lines = [], levels = [], marks = [], kind = '' }) {
  return h('figure.chart', { class: kind, 'aria-label': label, mount: mounted(drawCandles), candles, forming, lines, levels, marks });
}

/** What the dom module calls *mount*: draws once the library is here, and again whenever the data or the colours change. */
function mounted(draw) {
  return (element, first) => {
    let props = first;
    let drawing = null;
    let closed = false;
    const update = () => drawing?.update(props);
    const recolour = () => drawing?.recolour(props);
    library().then((charts) => {
      if (closed) return;
      drawing = draw(charts, element);
      update();
    }, () => {
      element.textContent = 'The chart library could not be loaded.';
    });
    DARK.addEventListener('change', recolour);
    return {
      update: (newer) => {
        props = newer;
        update();
      },
      close: () => {
        closed = true;
        DARK.removeEventListener('change', recolour);
        drawing?.chart.remove();
      },
    };
  };
}

class Lines {
  #series = new Map();

  constructor(charts, chart) {
    this.charts = charts;
    this.chart = chart;
  }

  /** Draw *lines*, each under its name; unchanged points are left alone. */
  update(lines, text) {
    const wanted = new Set(lines.map((line) => line.name));
    for (const [name, { series }] of this.#series) {
      if (wanted.has(name)) continue;
      this.chart.removeSeries(series);
      this.#series.delete(name);
    }
    for (const line of lines) {
      const known = this.#series.get(line.name) ?? this.#add(line, text);
      if (known.points === line.points) continue;
      if (known.stamp === stamp(line.points)) continue;
      known.points = line.points;
      known.stamp = stamp(line.points);
      known.series.setData(line.points);
    }
  }

  recolour(lines) {
    for (const line of lines) this.#series.get(line.name)?.series.applyOptions(lineLook(line));
  }

  get first() {
    return this.#series.values().next().value?.series;
  }

  #add(line, text) {
    const kind = line.area ? this.charts.AreaSeries : this.charts.LineSeries;
    const options = { ...lineLook(line), priceFormat: { type: 'custom', formatter: line.text ?? text, minMove: 1e-8 } };
    const series = this.chart.addSeries(kind, options, line.pane ?? 0);
    const known = { series, points: null, stamp: '' };
    this.#series.set(line.name, known);
    return known;
  }
}

/** What tells one set of points from another, cheaply. */
function stamp(points) {
  const last = points.at(-1);
  return last ? `${points.length} ${points[0].time} ${last.time} ${last.value}` : '';
}

function lineLook(line) {
  const shared = { lineWidth: line.thin ? 1 : 2, lineStyle: line.dashed ? 2 : 0, priceLineVisible: false, lastValueVisible: !line.thin, crosshairMarkerVisible: !line.thin, autoscaleInfoProvider: line.quiet ? () => null : undefined, lineType: line.steps ? 1 : 0 };
  const full = colour(line.colour);
  if (!line.area) return { ...shared, color: full };
  const below = line.area === 'below';
  return {
    ...shared, lineColor: full, invertFilledArea: below,
    topColor: colour(line.colour, below ? 0.04 : 0.2), bottomColor: colour(line.colour, below ? 0.22 : 0),
  };
}

function drawLines(charts, element) {
  const chart = charts.createChart(element, { autoSize: true, ...look(), handleScroll: { mouseWheel: false, vertTouchDrag: false }, handleScale: { mouseWheel: false } });
  const lines = new Lines(charts, chart);
  let seen = 0;
  return {
    chart,
    update: (props) => {
      lines.update(props.lines, props.text);
      const points = props.lines.reduce((sum, line) => sum + line.points.length, 0);
      if (props.wholly && points !== seen) chart.timeScale().fitContent();
      seen = points;
      const panes = chart.panes();
      if (panes.length > 1 && panes[1].getStretchFactor() !== 0.4) panes[1].setStretchFactor(0.4);
    },
    recolour: (props) => {
      chart.applyOptions(look());
      lines.recolour(props.lines);
    },
  };
}

function candleLook() {
  const [up, down] = [colour('--good'), colour('--bad')];
  return { upColor: 'transparent', downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down };
}

const STYLES = { stop: '--bad', target: '--good', entry: '--ink-2' };

function drawCandles(charts, element) {
  const chart = charts.createChart(element, { autoSize: true, ...look() });
  const series = chart.addSeries(charts.CandlestickSeries, { ...candleLook(), priceFormat: { type: 'custom', formatter: priceText, minMove: 1e-8 } });
  const volume = chart.addSeries(charts.HistogramSeries, { priceScaleId: 'volume', priceFormat: { type: 'volume' }, lastValueVisible: false, priceLineVisible: false });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.86, bottom: 0 } });
  const marks = charts.createSeriesMarkers(series, []);
  const lines = new Lines(charts, chart);
  chart.subscribeClick(({ hoveredObjectId }) => {
    if (hoveredObjectId) location.hash = hoveredObjectId;
  });
  chart.subscribeCrosshairMove(({ hoveredObjectId }) => element.classList.toggle('leads', Boolean(hoveredObjectId)));
  let drawn = '';
  let levels = new Map();
  let marked = '';
  let forming = '';

  const bars = (candles) => candles.map((each) => ({ time: seconds(each.opened), open: +each.open, high: +each.high, low: +each.low, close: +each.close }));
  const volumes = (candles) => candles.map((each) => ({ time: seconds(each.opened), value: +each.volume, color: colour(+each.close >= +each.open ? '--good' : '--bad', 0.22) }));

  const levelled = (wanted) => {
    const kept = new Map();
    for (const level of wanted) {
      const name = `${level.kind} ${level.price} ${level.name}`;
      const line = levels.get(name) ?? series.createPriceLine({ price: +level.price, title: level.name, color: colour(STYLES[level.kind]), lineStyle: level.kind === 'entry' ? 3 : 2, lineWidth: 1, axisLabelVisible: true });
      levels.delete(name);
      kept.set(name, line);
    }
    for (const line of levels.values()) series.removePriceLine(line);
    levels = kept;
  };

  const update = (props) => {
    const { candles } = props;
    const name = candles.length ? `${candles[0].symbol} ${candles[0].timeframe} ${candles[0].opened}` : '';
    const now = `${name} ${candles.at(-1)?.opened}`;
    if (now !== drawn) {
      const another = !drawn.startsWith(name) || !name;
      series.setData(bars(candles));
      volume.setData(volumes(candles));
      forming = '';
      if (another && candles.length) chart.timeScale().setVisibleLogicalRange({ from: candles.length - 130, to: candles.length + 6 });
      drawn = now;
    }
    const last = props.forming && JSON.stringify(props.forming);
    if (last && last !== forming && (!candles.length || seconds(props.forming.opened) >= seconds(candles.at(-1).opened))) {
      series.update(bars([props.forming])[0]);
      volume.update(volumes([props.forming])[0]);
      forming = last;
    }
    lines.update(props.lines, priceText);
    levelled(props.levels);
    const wanted = JSON.stringify(props.marks) + DARK.matches;
    if (wanted !== marked) {
      marks.setMarkers(props.marks.map(({ time, way, text, href }) => ({
        time, text, id: href || undefined, position: way === 'buy' ? 'belowBar' : 'aboveBar', shape: way === 'buy' ? 'arrowUp' : 'arrowDown', color: colour(way === 'buy' ? '--good' : '--bad'), size: 1.2,
      })));
      marked = wanted;
    }
    const panes = chart.panes();
    for (const pane of panes.slice(1)) if (pane.getStretchFactor() !== 0.28) pane.setStretchFactor(0.28);
  };
  return {
    chart,
    update,
    recolour: (props) => {
      chart.applyOptions(look());
      series.applyOptions(candleLook());
      volume.setData(volumes(props.candles));
      lines.recolour(props.lines);
      levelled([]);
      update(props);
    },
  };
}
