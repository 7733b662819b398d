/* Line drawings of 20 by 20. They only accompany words, and are hidden from whoever reads with their ears. */

import { h } from './dom.js';

const PATHS = {
  home: 'M3 9.500 10 3.500l7 6V16a1 1 0 0 1-1 1h-3.500v-4.500h-5V17H4a1 1 0 0 1-1-1z',
  shield: 'M10 2.800 16 5v5c0 3.600-2.500 6-6 7.200C6.500 16 4 13.600 4 10V5z',
  candles: 'M6 3v3m0 6v5M4 6h4v6H4zM14 3v5m0 6v3M12 8h4v6h-4z',
  mind: 'M10 3a5 5 0 0 0-3 9v2.500h6V12a5 5 0 0 0-3-9zM7.500 17h5',
  curve: 'M3 16.500h14M3 13l4-4 3 2.500L16.500 5',
  bars: 'M4 17V9m4 8V4m4 13v-6m4 6V7',
  coins: 'M10 8c3.300 0 6-1.100 6-2.500S13.300 3 10 3 4 4.100 4 5.500 6.700 8 10 8zM4 5.500v9C4 15.900 6.700 17 10 17s6-1.100 6-2.500v-9M4 10c0 1.400 2.700 2.500 6 2.500s6-1.100 6-2.500',
  list: 'M7 5h10M7 10h10M7 15h10M3 5h.5M3 10h.5M3 15h.5',
  differ: 'M4 7h12M4 13h12M12.500 3.500l-5 13',
  bell: 'M5 13V9a5 5 0 0 1 10 0v4l1.500 1.500h-13zM8.500 17h3',
  book: 'M4 4.500A1.500 1.500 0 0 1 5.500 3H16v11.500H5.500A1.500 1.500 0 0 0 4 16zm0 11.500A1.500 1.500 0 0 0 5.500 17H16',
  dials: 'M4 6h6m4 0h2M4 14h2m4 0h6M12 4v4M8 12v4',
  menu: 'M3 6h14M3 10h14M3 14h14',
  more: 'M5 8l5 5 5-5',
  key: 'M12.500 3a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM9.300 10.700 3 17m2.500-2.500L7.500 16.500',
  close: 'M5 5l10 10M15 5L5 15',
  check: 'M4.500 10.500l3.500 3.500 7.500-8',
  cross: 'M5.500 5.500l9 9m0-9l-9 9',
  warn: 'M10 3.500 17.500 16.500h-15zM10 8.500v4m0 2v.2',
  info: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zm0 6.500v4m0-7v.2',
  stop: 'M6.500 3h7L17 6.500v7L13.500 17h-7L3 13.500v-7z',
  pause: 'M7 4.500v11m6-11v11',
  clip: 'M4 10h12m-3-3 3 3-3 3',
  dash: 'M5 10h10',
  down: 'M10 3.500V13m-4-4 4 4 4-4M4 16.500h12',
  up_arrow: 'M10 16V5m-4.500 4L10 4.500 14.500 9',
  down_arrow: 'M10 4v11m-4.500-4L10 15.500 14.500 11',
};

export function icon(name) {
  return h('svg.icon', { viewBox: '0 0 20 20', 'aria-hidden': 'true', focusable: 'false' }, h('path', { d: PATHS[name] }));
}
