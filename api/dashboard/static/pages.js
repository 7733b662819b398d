/* The pages there are, in the order of the menu: *scope* is what one has to be allowed to see it, *whole* everywhere. */

import { h } from './dom.js';
import { overview } from './pages/overview.js';
import { positions } from './pages/positions.js';
import { market } from './pages/market.js';
import { decisions } from './pages/decisions.js';
import { performance } from './pages/performance.js';
import { edge } from './pages/edge.js';
import { costs } from './pages/costs.js';
import { activity } from './pages/activity.js';
import { discrepancies } from './pages/discrepancies.js';
import { alerts } from './pages/alerts.js';
import { audit } from './pages/audit.js';
import { accounts } from './pages/accounts.js';
import { tokens } from './pages/tokens.js';

export const PAGES = [
  { name: '', title: 'Overview', group: 'Now', icon: 'home', key: 'o', open: overview },
  { name: 'positions', title: 'Positions', group: 'Now', icon: 'shield', key: 'p', open: positions },
  { name: 'market', title: 'Market', group: 'Now', icon: 'candles', key: 'm', open: market },
  { name: 'decisions', title: 'Decisions', group: 'Now', icon: 'mind', key: 'd', open: decisions },
  { name: 'performance', title: 'Performance', group: 'Results', icon: 'curve', key: 'e', open: performance },
  { name: 'edge', title: 'Edge', group: 'Results', icon: 'bars', key: 'g', open: edge },
  { name: 'costs', title: 'Costs', group: 'Results', icon: 'coins', key: 'c', open: costs },
  { name: 'activity', title: 'Activity', group: 'Record', icon: 'list', key: 'a', open: activity },
  { name: 'discrepancies', title: 'Discrepancies', group: 'Record', icon: 'differ', key: 'x', open: discrepancies },
  { name: 'alerts', title: 'Alerts', group: 'Record', icon: 'bell', key: 'l', open: alerts },
  { name: 'audit', title: 'Audit', group: 'Record', icon: 'book', key: 'u', open: audit, scope: 'admin' },
  { name: 'accounts', title: 'Accounts', group: 'Control', icon: 'dials', key: 's', open: accounts },
  { name: 'tokens', title: 'Tokens', group: 'Control', icon: 'key', key: 't', open: tokens, scope: 'admin', whole: true },
];

export const NOT_FOUND = {
  open: () => ({
    title: 'No such page',
    view: () => h('section.card', null, h('p', null, 'There is no such page. The menu lists all there are.')),
  }),
};
